//! On what was measured, and what: without these two no figure says anything.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::common::programs::command;

/// The machine, the build, the time.
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
    /// This machine, as it is before anything is measured.
    pub(crate) fn look(program: &Path, seed: u64, short: bool) -> Result<Self, String> {
        let version = said(&program.display().to_string(), &["--version"])
            .ok_or_else(|| format!("{} does not run", program.display()))?;
        Ok(Self {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            kernel: said("uname", &["-sr"]).unwrap_or_default(),
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

    /// Notes how it was left, `elapsed` later.
    pub(crate) fn end(&mut self, elapsed: Duration) {
        self.load_after = load();
        self.seconds = (elapsed.as_secs_f64() * 10.0).round() / 10.0;
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let form = if self.short { "short" } else { "long" };
        let mut text = format!(
            "{}, {} cores, {}; load {}\n{} ({}, {}); {form} form, seed {}",
            self.cpu, self.cores, self.kernel, self.load, self.version, self.commit, self.profile, self.seed
        );
        if self.seconds > 0.0 {
            // Writing to a String does not fail.
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

/// The commit that this program was built in; a plus where there are changes.
fn commit() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let Some(commit) = said("git", &["-C", here, "rev-parse", "--short", "HEAD"]) else {
        return "no commit known".to_owned();
    };
    let changes = said("git", &["-C", here, "status", "--porcelain", "--untracked-files=no"]);
    let plus = if changes.is_some_and(|changes| !changes.is_empty()) { "+" } else { "" };
    format!("commit {commit}{plus}")
}

/// What a program prints; nothing where it fails.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = command(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
