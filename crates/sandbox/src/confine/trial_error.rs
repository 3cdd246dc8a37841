//! Reason why a level of confinement does not work on this machine.

use std::io;

use nix::errno::Errno;

use super::Level;
use crate::errno;

/// Reason why the trial of a level failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", level.name())]
pub struct TrialError {
    /// The level that was tried.
    pub level: Level,
    /// The part of the trial that failed.
    pub kind: TrialErrorKind,
    /// The system's error number, if a system call failed.
    pub errno: Option<Errno>,
    message: String,
}

/// Part of a trial that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialErrorKind {
    /// bubblewrap is not installed.
    NotInstalled,
    /// The folder that all runners of a host share: mount points and the locks of users.
    SharedFolder,
    /// A user for the task.
    User,
    /// Access rights of the state folder.
    StateFolder,
    /// The folder of the trial itself.
    Workspace,
    /// Start of the supervisor, or the making of the sandbox.
    Start,
    /// The trial's shell, which failed or was killed.
    Shell {
        /// Number of the signal that killed it.
        signal: Option<i32>,
    },
}

impl TrialError {
    pub(crate) fn new(level: Level, kind: TrialErrorKind, message: impl Into<String>) -> Self {
        Self { level, kind, errno: None, message: message.into() }
    }

    pub(crate) fn io(level: Level, kind: TrialErrorKind, what: &str, error: &io::Error) -> Self {
        Self { errno: errno::of(error), ..Self::new(level, kind, format!("{what}: {error}")) }
    }

    pub(crate) fn with_errno(self, errno: Option<Errno>) -> Self {
        Self { errno, ..self }
    }

    /// Joins the messages of several trials to one line.
    pub fn list(errors: &[Self]) -> String {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}
