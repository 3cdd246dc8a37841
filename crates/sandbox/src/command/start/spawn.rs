//! Start of a child process in a group, as a user, with descriptors.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::sys::signal::SigSet;
use nix::unistd::{Gid, Pid, Uid};

use super::super::spec::Spec;
use super::descriptors::stdin_of;
use crate::confine::cgroup::{self, Group};
use crate::confine::setup;

/// Sets the whole environment of `command`.
pub(super) fn set_environment(command: &mut Command, spec: &Spec, events: Option<&OwnedFd>) {
    command.env_clear().envs(spec.env.iter().map(|(name, value)| (name, value)));
    if let Some(events) = events {
        command.env("OSTEST_EVENTS", events.as_raw_fd().to_string());
    }
}

/// Spawns `command` in the control group `group`, as `user`, with the inherited descriptors `inherited`.
#[expect(unsafe_code, reason = "what a child must do to itself before it is another program")]
pub(super) fn spawn(
    spec: &Spec,
    mut command: Command,
    group: Option<&Group>,
    inherited: impl IntoIterator<Item = RawFd>,
    user: Option<u32>,
) -> io::Result<Pid> {
    let doors = group.map(Group::doors).transpose()?.unwrap_or_default();
    let inherited: Vec<RawFd> = inherited.into_iter().collect();
    // A process group of its own, so that it can be interrupted without the supervisor.
    command.stdin(stdin_of(&spec.stdin)?).process_group(0);
    let prepare = move || {
        SigSet::empty().thread_set_mask()?;
        for door in &doors {
            cgroup::join(door)?;
        }
        for &fd in &inherited {
            // SAFETY: a plain call on a number; a wrong one is an error.
            if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if let Some(user) = user {
            // First, while this process is still root.
            setup::drop_bounds();
            nix::unistd::setgroups(&[])?;
            nix::unistd::setresgid(Gid::from_raw(user), Gid::from_raw(user), Gid::from_raw(user))?;
            nix::unistd::setresuid(Uid::from_raw(user), Uid::from_raw(user), Uid::from_raw(user))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec this makes system calls and allocates nothing.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    Ok(Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?))
}
