//! Description of the machine and of the measured build.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tools::programs::stdout_of;

/// The machine, the build, and the duration of the bench.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    /// Load averages over 1, 5 and 15 minutes, before and after.
    load: String,
    load_after: String,
    version: String,
    commit: String,
    profile: &'static str,
    seed: u64,
    short: bool,
    seconds: f64,
}

impl Machine {
    /// Describes this machine before the measurements.
    ///
    /// # Errors
    /// Returns a message if the runner does not print its version.
    pub(crate) fn describe(program: &Path, seed: u64, short: bool) -> Result<Self, String> {
        let version = stdout_of(program, &["--version"])
            .ok_or_else(|| format!("`{} --version` failed", program.display()))?;
        Ok(Self {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            kernel: stdout_of("uname", &["-sr"]).unwrap_or_default(),
            load: load(),
            load_after: String::new(),
            version,
            commit: commit(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
            seed,
            short,
            seconds: 0.0,
        })
    }

    /// Adds the duration and the load after the measurements.
    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.load_after = load();
        self.seconds = (elapsed.as_secs_f64() * 10.0).round() / 10.0;
    }

    /// The description as text.
    pub(crate) fn text(&self) -> String {
        let form = if self.short { "short" } else { "long" };
        let mut text = format!(
            "{}, {} cores, {}; load {}\n{} ({}, {}); {form} form, seed {}",
            self.cpu, self.cores, self.kernel, self.load, self.version, self.commit, self.profile, self.seed
        );
        if self.seconds > 0.0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "; took {} s, load after it {}", self.seconds, self.load_after);
        }
        text
    }
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The commit of the source tree, with a plus if the tree has changes.
fn commit() -> String {
    let tree = env!("CARGO_MANIFEST_DIR");
    let Some(commit) = stdout_of("git", &["-C", tree, "rev-parse", "--short", "HEAD"]) else {
        return "unknown commit".to_owned();
    };
    let changes = stdout_of("git", &["-C", tree, "status", "--porcelain", "--untracked-files=no"]);
    let plus = if changes.is_some_and(|changes| !changes.is_empty()) { "+" } else { "" };
    format!("commit {commit}{plus}")
}
