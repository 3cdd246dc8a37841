//! The suite's own interpreters, whose calls are let through.

use std::collections::HashMap;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

/// `PF_FORKNOEXEC` of the kernel's `sched.h`: the process was forked and has executed no program since.
const FORKED: u64 = 0x40;

/// Generations of forks that are examined.
const GENERATIONS: usize = 16;

/// The trusted processes, each with a descriptor of it.
#[derive(Default)]
pub(super) struct Trusted(HashMap<Pid, OwnedFd>);

impl Trusted {
    /// Adds the process `pid`.
    #[expect(unsafe_code, reason = "the call has no safe form")]
    pub(super) fn add(&mut self, pid: Pid) {
        // SAFETY: the call takes two numbers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        if let Ok(fd) = i32::try_from(fd)
            && fd >= 0
        {
            // SAFETY: the system has just made it, for this process.
            self.0.insert(pid, unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }

    /// Returns whether `thread` belongs to a trusted process.
    pub(super) fn names(&self, thread: Pid) -> bool {
        process_of(thread).and_then(|pid| self.0.get(&pid)).is_some_and(is_alive)
    }

    /// Returns whether `thread` belongs to a trusted process or to a fork of one that has executed no program since: its memory
    /// is a copy of the trusted one's.
    pub(super) fn includes(&self, thread: Pid) -> bool {
        let mut next = process_of(thread);
        for _ in 0..GENERATIONS {
            let Some(pid) = next else { return false };
            if self.0.get(&pid).is_some_and(is_alive) {
                return true;
            }
            next = parent_of_forked(pid);
        }
        false
    }
}

/// Returns whether a process still runs. While it does, no other process has its number.
fn is_alive(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0))
}

/// Returns the process of a thread.
fn process_of(thread: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok().map(Pid::from_raw)
}

/// Returns the parent of a process that has executed no program since it was forked. The parent is the process that forked it:
/// the filter denies `CLONE_PARENT` and subreapers.
fn parent_of_forked(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    // The first field after the name is the third: the parent is the fourth, the flags are the ninth.
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    (flags & FORKED != 0).then(|| Pid::from_raw(parent))
}
