//! A program that was started, and the wait until its confinement is in force.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use super::super::tree;
use crate::confine::Level;
use crate::confine::setup::{self, SetupError};

/// Longest time that a confined program may take to begin, in milliseconds.
const TIMEOUT: u16 = 20_000;

/// A program that runs, or waits in its confinement for [`Started::go`].
pub(in super::super) struct Started {
    /// The child of this process; its end is the command's end.
    pub(in super::super) child: Pid,
    /// Pipe on which the confinement's setup reports, and the one on which it is told to go on.
    pub(super) confined: Option<(PipeReader, PipeWriter)>,
    /// Pipe on which the broker is told whom to trust, if there is a broker.
    pub(in super::super) trusted: Option<PipeWriter>,
    pub(super) level: Level,
}

/// Why a program does not run.
pub(in super::super) enum Failure {
    /// The program could not be executed.
    Program(io::Error),
    /// Its confinement could not be made.
    Sandbox(io::Error),
}

impl Started {
    /// Lets the program begin, waits until it has, and returns the leader of its group, to which signals are sent. Gives up
    /// if `control`, the runner's socket, is closed.
    pub(in super::super) fn go(&mut self, control: &impl AsFd) -> Result<Pid, Failure> {
        let Some((mut status, mut go)) = self.confined.take() else { return Ok(self.child) };
        // A program that has ended is noticed by the wait.
        go.write_all(b"g").ok();
        wait_ready(&mut status, control, self.level)?;
        let inner = if self.level == Level::Bwrap {
            // bubblewrap, its first process inside, the program.
            tree::first_child(self.child).and_then(tree::first_child)
        } else {
            Some(self.child)
        };
        // A broker is the program's parent.
        let brokered = self.trusted.is_some();
        let program = inner.and_then(|inner| if brokered { tree::first_child(inner) } else { Some(inner) });
        Ok(program.unwrap_or(self.child))
    }
}

/// Waits until the setup reports that everything is in force and the program has begun.
fn wait_ready(status: &mut PipeReader, control: &impl AsFd, level: Level) -> Result<(), Failure> {
    let report = read_report(status, control).map_err(Failure::Sandbox)?;
    match report.split_first() {
        Some((&setup::READY, [])) => Ok(()),
        Some((&setup::READY, error)) => Err(Failure::Program(SetupError::read(error))),
        Some(_) => Err(Failure::Sandbox(SetupError::read(&report))),
        None if level == Level::Bwrap => Err(Failure::Sandbox(io::Error::other("bubblewrap did not begin"))),
        None => Err(Failure::Sandbox(io::Error::other("the sandbox's setup did not begin"))),
    }
}

/// Reads the setup's report to its end, which is when the program has begun or everything has ended.
fn read_report(status: &mut PipeReader, control: &impl AsFd) -> io::Result<Vec<u8>> {
    let mut report = Vec::new();
    loop {
        let mut fds = [
            PollFd::new(status.as_fd(), PollFlags::POLLIN),
            PollFd::new(control.as_fd(), PollFlags::empty()),
        ];
        match poll(&mut fds, PollTimeout::from(TIMEOUT)) {
            Ok(0) => return Err(io::Error::other("it was not ready in time")),
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        if !fds[0].any().unwrap_or(false) {
            return Err(io::Error::other("the runner is gone"));
        }
        let mut bytes = [0; 512];
        match status.read(&mut bytes)? {
            0 => return Ok(report),
            count => report.extend_from_slice(&bytes[..count]),
        }
    }
}
