//! Messages between the supervisor and the setup.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::super::filter::Allowed;
use super::super::{Limits, broker};
use crate::errno;

/// What the setup is to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The program.
    pub program: String,
    /// Whether the program is the runner's own binary.
    pub is_own_binary: bool,
    /// The program's arguments.
    pub args: Vec<String>,
    /// The program's working directory.
    pub dir: PathBuf,
    /// The limits; those that are resource limits of a process are set here.
    pub limits: Limits,
    /// Processes of this user that are not the command's: the system counts them against the same limit.
    pub other_processes: u64,
    /// Paths that may be read; empty: files are not restricted here.
    pub readable: Vec<PathBuf>,
    /// Paths that may be written.
    pub writable: Vec<PathBuf>,
    /// System calls that the filter lets through.
    pub allowed: Allowed,
    /// The broker that protects the suite's files, if they need a process for that.
    pub broker: Option<broker::Orders>,
    /// Descriptor that the program inherits: its channel for events.
    pub events: Option<RawFd>,
    /// Descriptor that gets [`READY`] right before the program begins, or a [`SetupError`] as JSON.
    pub status: RawFd,
    /// Descriptor from which a byte is read when everything that the program needs exists; its end cancels the program.
    pub go: RawFd,
}

/// The byte that the status descriptor gets when everything is in force.
pub const READY: u8 = b'k';

/// Why the setup failed, as it is sent to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetupError {
    message: String,
    errno: Option<i32>,
}

impl SetupError {
    pub(super) fn new(error: &io::Error) -> Self {
        Self { message: error.to_string(), errno: errno::of(error).map(|errno| errno as i32) }
    }

    /// Reads an error that the setup has sent.
    pub fn read(bytes: &[u8]) -> io::Error {
        match serde_json::from_slice::<Self>(bytes) {
            Ok(error) => errno::described(error.message, error.errno.map(Errno::from_raw)),
            Err(_) => io::Error::other(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}
