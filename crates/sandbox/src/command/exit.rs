//! Result of a command.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::limit_hit::LimitHit;
use super::output::Captured;

/// Result of a command that has ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Exit code, if the program exited by itself.
    pub code: Option<i32>,
    /// Number of the signal that ended the program.
    pub signal: Option<i32>,
    /// Why the runner stopped the command, if it did.
    pub stopped: Option<Stopped>,
    /// Wall time from the start to the end of everything that the command started.
    pub wall: Duration,
    /// Processor time of everything that ran below the supervisor, user and system.
    pub cpu: Duration,
    /// Processes that were alive when the program had ended, and were killed.
    pub leftovers: u32,
    /// Peak memory of the whole command in bytes, where it was measured.
    pub memory_peak: Option<u64>,
    /// The limits that the command hit.
    pub limit_hits: Vec<LimitHit>,
    /// Events that the command sent over its channel.
    pub events: Vec<PluginEvent>,
    /// Why the report could not be copied out of the sandbox.
    pub report_error: Option<String>,
    /// A file of the suite that the command changed, for which it was killed; relative to the suite's folder.
    pub tampered_file: Option<String>,
    /// The kept part of stdout.
    pub stdout: Captured,
    /// The kept part of stderr.
    pub stderr: Captured,
}

/// Why the runner stopped a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The deadline passed.
    Deadline,
    /// The runner interrupts its work.
    Interrupt,
}

/// An event that a command sent over its channel, with what was measured up to then.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginEvent {
    /// The line, as the command wrote it.
    pub line: String,
    /// Peak memory of the test case that this event ends, in bytes, above what the command used before.
    pub memory: Option<u64>,
    /// The limit that ended the case, in words.
    pub note: Option<String>,
}

impl Exit {
    /// Returns whether the program exited with code 0 by itself.
    pub fn success(&self) -> bool {
        self.code == Some(0) && self.stopped.is_none()
    }

    /// Describes the end: `exit code 1`, `signal 9 (SIGKILL)`.
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

    /// Returns the last line with text of stderr, else of stdout: usually the error message.
    pub fn last_words(&self) -> Option<String> {
        [&self.stderr, &self.stdout].into_iter().find_map(Captured::last_line)
    }
}

impl Stopped {
    /// Returns the name used in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Interrupt => "interrupt",
        }
    }
}
