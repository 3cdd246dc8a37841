//! Messages between the runner and a supervisor.
//!
//! The runner sends a [`Spec`](super::Spec) as JSON with its length before it, then single bytes: the requests. The
//! supervisor sends events, one line of JSON each.

use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::exit::PluginEvent;
use super::limit_hit::LimitHit;

/// A request of the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Start the program. It must be the first request: after any other one the program is never started.
    Start,
    /// Send SIGINT to the program's group.
    Interrupt,
    /// Send SIGTERM to the program's group.
    Terminate,
    /// Send SIGKILL to everything below the supervisor.
    Kill,
    /// The same, because of too much output.
    KillForOutput,
}

impl Request {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Start => b'g',
            Self::Interrupt => b'i',
            Self::Terminate => b't',
            Self::Kill => b'k',
            Self::KillForOutput => b'o',
        }
    }

    /// An unknown byte means [`Self::Kill`].
    pub(super) fn of(byte: u8) -> Self {
        let known = [Self::Start, Self::Interrupt, Self::Terminate, Self::KillForOutput];
        known.into_iter().find(|request| request.byte() == byte).unwrap_or(Self::Kill)
    }
}

/// A message of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Event {
    /// The program has started.
    Started,
    /// The program was not started.
    Failed(Failed),
    /// The program sent an event over its channel.
    Plugin(PluginEvent),
    /// The program and everything that it started have ended.
    Ended(Ended),
}

/// Why the program was not started.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) part: Part,
    pub(super) reason: String,
    errno: Option<i32>,
}

/// The part of a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    /// The program could not be executed.
    Program,
    /// The sandbox could not be made.
    Sandbox,
}

impl Failed {
    pub(super) fn new(part: Part, error: &std::io::Error) -> Self {
        let errno = crate::errno::of(error).map(|errno| errno as i32);
        Self { part, reason: error.to_string(), errno }
    }

    pub(super) fn errno(&self) -> Option<Errno> {
        self.errno.map(Errno::from_raw)
    }
}

/// The supervisor's part of a command's result; the fields are those of [`Exit`](super::Exit).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) cpu: Duration,
    pub(super) leftovers: u32,
    pub(super) memory_peak: Option<u64>,
    pub(super) limit_hits: Vec<LimitHit>,
    pub(super) report_error: Option<String>,
    pub(super) tampered_file: Option<String>,
}
