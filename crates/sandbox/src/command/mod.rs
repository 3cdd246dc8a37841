//! The only place that starts a child.
//!
//! Every step that can hang or be hostile runs under a [supervisor]: the runner's own binary in a
//! mode of its own, a session and a child subreaper. It promises that nothing a step started outlives the step,
//! also when the runner itself is killed, and that output neither blocks a child nor fills memory.

mod channel;
mod deadline;
mod disk;
mod held;
mod hit;
mod launcher;
mod meter;
mod observer;
mod output;
mod program;
mod running;
mod seal;
mod start;
mod supervised;
pub mod supervisor;
mod teardown;
mod tree;

pub use deadline::Deadline;
pub use held::Held;
pub use hit::Hit;
pub use launcher::Launcher;
pub use observer::{CommandEnd, Observer};
pub use output::Captured;
pub use program::find_program;
pub use running::Running;
pub use start::BWRAP;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::confine::Plan;

/// The variable that marks all that a step starts, so that it is found even where its supervisor was killed.
const MARK: &str = "OSTEST_COMMAND";

/// How children are stopped and what is kept of their output.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Processes")]
#[group(skip)]
pub struct Settings {
    /// How long an interrupted command may write its output before SIGTERM, and again before SIGKILL
    #[arg(long, global = true, env = "RUNNER_GRACE", value_name = "DURATION", default_value = "5", value_parser = text::units::interval)]
    pub grace: Duration,

    /// Bytes kept of the beginning and of the end of a command's output, each
    #[arg(long, global = true, env = "RUNNER_KEEP_OUTPUT", value_name = "SIZE", default_value = "64KiB", value_parser = text::units::size)]
    pub keep_output: u64,
}

/// Kills what is left of steps whose mark begins with `mark`: of a runner that was killed together with a supervisor.
pub fn sweep(mark: &str) {
    for _ in 0..10 {
        let met = tree::kill_marked(&format!("{MARK}={mark}-"));
        if met.is_empty() {
            return;
        }
        tracing::warn!(name: "leftovers_killed", processes = met.len(), "processes of an earlier run were killed");
    }
}

/// A program to run as one step.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Spec {
    /// Path or name (looked up in the child's `PATH`).
    pub program: String,
    /// Arguments, without the program's name.
    pub args: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub dir: PathBuf,
    /// What it reads from stdin; end of file at once where empty. Secrets go here, never into `args`.
    pub stdin: String,
    /// How it is confined.
    #[serde(default)]
    pub plan: Plan,
    /// Files that get the kept stdout and stderr, by their common stem: `STEM.stdout`, `STEM.stderr`.
    #[serde(skip)]
    pub output: Option<PathBuf>,
}

/// Why a step was ended from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Its deadline passed.
    Deadline,
    /// The runner was told to stop.
    Interrupt,
}

impl Stopped {
    /// The one word for it, in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Interrupt => "interrupt",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Exit code, where it left by itself.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Why it was stopped from here, if it was.
    pub stopped: Option<Stopped>,
    /// Wall time from start to the end of everything below it.
    pub wall: Duration,
    /// CPU time of all that ran below the supervisor, user and system.
    pub cpu: Duration,
    /// Processes that were still there when the main one had ended, and were killed.
    pub leftovers: u32,
    /// The highest use of memory in bytes, where it was measured for the step as a whole.
    pub memory: Option<u64>,
    /// The limits that it hit.
    pub hits: Vec<Hit>,
    /// What it said on its channel.
    pub told: Vec<Told>,
    /// Why its report could not be taken out of its sandbox.
    pub report: Option<String>,
    /// The file of the suite that it changed, for which it was ended.
    pub spoiled: Option<String>,
    /// What is kept of stdout.
    pub stdout: Captured,
    /// What is kept of stderr.
    pub stderr: Captured,
}

/// A line that a step said on its channel, with what was measured up to then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// The line, as it came.
    pub line: String,
    /// Where it ends a case: that case's peak of memory in bytes, above what the step used before.
    pub memory: Option<u64>,
    /// What the case died of, where that was a limit.
    pub note: Option<String>,
}

impl Exit {
    /// Whether it left by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0) && self.stopped.is_none()
    }

    /// `exit code 1`, `signal 9 (SIGKILL)`.
    pub fn describe(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(number)) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => format!("signal {number} ({signal})"),
                Err(_) => format!("signal {number}"),
            },
            (None, None) => "an unknown end".to_owned(),
        }
    }

    /// The last line with text of stderr, else of stdout: usually the one that says what was wrong.
    pub fn last_words(&self) -> Option<String> {
        [&self.stderr, &self.stdout].into_iter().find_map(Captured::last_line)
    }
}

/// A step that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program itself could not be executed.
    #[error("cannot start {program}: {reason}")]
    Program {
        /// As in [`Spec::program`].
        program: String,
        /// The system's words.
        reason: String,
    },
    /// Its sandbox could not be made.
    #[error("cannot make the sandbox: {0}")]
    Sandbox(String),
    /// The supervisor could not be started or reached.
    #[error("cannot start a supervisor process: {0}")]
    Supervisor(#[from] io::Error),
}

/// What the supervisor tells the runner, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Event {
    Started,
    Failed { reason: String, sandbox: bool },
    Told(Told),
    Ended(Ended),
}

/// What the supervisor saw of the step's end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    cpu: Duration,
    leftovers: u32,
    memory: Option<u64>,
    hits: Vec<Hit>,
    report: Option<String>,
    spoiled: Option<String>,
}
