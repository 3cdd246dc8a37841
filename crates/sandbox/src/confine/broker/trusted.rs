//! The suite's own interpreters, whose calls are their own business.

use std::collections::HashMap;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

/// `PF_FORKNOEXEC` of the kernel's `sched.h`: it runs what its parent ran, and has executed nothing since.
const FORKED: u64 = 0x40;

/// How many generations of forks are looked at.
const GENERATIONS: usize = 16;

#[derive(Default)]
pub(super) struct Trusted(HashMap<Pid, OwnedFd>);

impl Trusted {
    /// The process `pid` is one of them.
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

    /// Whether `thread` is of one of them.
    pub(super) fn names(&self, thread: Pid) -> bool {
        process_of(thread).and_then(|pid| self.0.get(&pid)).is_some_and(is_alive)
    }

    /// Whether `thread` is of one of them, or of what one forked and nothing was executed in since: that is its memory too.
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

/// Its number is nobody else's while it is there.
fn is_alive(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0))
}

/// The process that a thread is of.
fn process_of(thread: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok().map(Pid::from_raw)
}

/// The parent of a process that has executed nothing since it was forked. What else would make a process another one's child
/// than to be forked by it, the filter of calls denies: `CLONE_PARENT`, and to be a subreaper.
fn parent_of_forked(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    // The first after the name is the third of all: the parent is the fourth, the flags are the ninth.
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    (flags & FORKED != 0).then(|| Pid::from_raw(parent))
}
