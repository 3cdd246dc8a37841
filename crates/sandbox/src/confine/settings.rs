//! Settings of the sandbox.

use std::path::{Path, PathBuf};

use super::plan::Network;
use super::{Level, Limits, users};

/// Settings of the sandbox, as options of the command line.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sandbox")]
#[group(skip)]
pub struct Settings {
    /// How tasks are confined; auto: as strongly as this machine allows
    #[arg(long, global = true, env = "RUNNER_SANDBOX", value_enum, default_value_t = Choice::Auto)]
    pub sandbox: Choice,

    /// Refuse to start if the confinement would be weaker than this
    #[arg(long, global = true, env = "RUNNER_SANDBOX_REQUIRE", value_enum, value_name = "LEVEL")]
    pub sandbox_require: Option<Level>,

    /// More folders that tasks may read, such as a toolchain below /opt
    #[arg(
        long,
        global = true,
        env = "RUNNER_SANDBOX_READABLE",
        value_name = "FOLDER",
        value_delimiter = ','
    )]
    pub sandbox_readable: Vec<PathBuf>,

    /// First of the user ids for tasks if the runner is root; each running task has one, and ids of the machine's
    /// users and groups are skipped
    #[arg(long, global = true, env = "RUNNER_SANDBOX_UID", value_name = "UID", default_value_t = users::FIRST, value_parser = clap::value_parser!(u32).range(1_000..4_000_000_000))]
    pub sandbox_uid: u32,

    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is owned")]
    pub limits: Limits,

    /// Network of a task: none (its own loopback, if namespaces work), or the host's
    #[arg(long, global = true, env = "RUNNER_NETWORK", value_enum, default_value_t = Network::None)]
    pub network: Network,
}

/// Confinement that the operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// The strongest that works.
    Auto,
    /// Namespaces by bubblewrap, and everything of basic.
    Bwrap,
    /// Limits, Landlock and seccomp.
    Basic,
    /// Nothing.
    None,
}

impl Settings {
    /// Checks the readable folders against `folders`, in which the runner keeps its own files.
    ///
    /// # Errors
    /// A message for the operator, if a readable folder is relative, holds a folder that each task has of its own, or
    /// holds one of `folders`.
    pub fn check(&self, folders: &[&Path]) -> Result<(), String> {
        /// Folders that a task has of its own.
        const PRIVATE: &[&str] = &["/tmp", "/var/tmp", "/dev/shm", "/dev", "/proc", "/sys"];
        for readable in &self.sandbox_readable {
            let real = readable.canonicalize().unwrap_or_else(|_| readable.clone());
            let holds = |folder: &Path| folder.starts_with(&real);
            let why = if !real.is_absolute() {
                "expected an absolute path".to_owned()
            } else if let Some(private) = PRIVATE.iter().map(Path::new).find(|folder| holds(folder)) {
                format!("a task has {} of its own; name the folders that it needs", private.display())
            } else if let Some(folder) = folders.iter().find(|folder| holds(folder)) {
                format!("the runner keeps its own files in {}, below it", folder.display())
            } else {
                continue;
            };
            return Err(format!("--sandbox-readable {}: {why}", readable.display()));
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sandbox: Choice::None,
            sandbox_require: None,
            sandbox_readable: Vec::new(),
            sandbox_uid: users::FIRST,
            limits: Limits::none(),
            network: Network::None,
        }
    }
}
