//! Reason why a command could not be started.

use std::io;

use nix::errno::Errno;

use crate::errno;

/// Reason why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program itself could not be executed.
    #[error("cannot start {program}: {reason}")]
    Program {
        /// As in [`Spec::program`](super::Spec::program).
        program: String,
        /// The system's message.
        reason: String,
        /// The system's error number.
        errno: Option<Errno>,
    },
    /// The sandbox could not be made.
    #[error("cannot make the sandbox: {reason}")]
    Sandbox {
        /// The part that failed, and the system's message.
        reason: String,
        /// The system's error number.
        errno: Option<Errno>,
    },
    /// The supervisor could not be started or reached.
    #[error("cannot start a supervisor process: {0}")]
    Supervisor(#[from] io::Error),
}

impl StartError {
    /// Returns the system's error number, if a system call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Program { errno, .. } | Self::Sandbox { errno, .. } => *errno,
            Self::Supervisor(error) => errno::of(error),
        }
    }
}
