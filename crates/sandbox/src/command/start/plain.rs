//! Start of a program without confinement.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

use super::super::spec::Spec;
use super::confined;
use super::spawn::{set_environment, spawn};
use super::started::{Failure, Started};
use crate::confine::Level;
use crate::confine::cgroup::Group;

/// Starts `spec`; `events` is the program's end of the channel. A confined program waits for [`Started::go`].
pub(in super::super) fn start(
    spec: &Spec,
    group: Option<&Group>,
    events: Option<&OwnedFd>,
) -> Result<Started, Failure> {
    if spec.plan.level != Level::None {
        return confined::start(spec, group, events).map_err(Failure::Sandbox);
    }
    let mut command = command(spec);
    set_environment(&mut command, spec, events);
    let child = spawn(spec, command, group, events.map(AsRawFd::as_raw_fd), None).map_err(|error| {
        // The system's error is the same for a missing program and a missing folder.
        Failure::Program(if spec.dir.is_dir() {
            error
        } else {
            io::Error::other(format!("no folder {}", spec.dir.display()))
        })
    })?;
    Ok(Started { child, confined: None, trusted: None, level: Level::None })
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts a command's program")]
fn command(spec: &Spec) -> Command {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).current_dir(&spec.dir);
    command
}
