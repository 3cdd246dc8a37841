//! The command's end: everything below the supervisor is killed and waited for.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid};

use super::super::meter::cpu_of_ended;
use super::super::{teardown, tree};
use super::process::Supervisor;
use crate::confine::cgroup::Group;
use crate::confine::wait::{self, ChildEnd};
use crate::confine::{Level, view};

/// How long killed processes may take to end. It takes longer only where the kernel itself holds them.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Milliseconds between two searches for processes.
const PAUSE: u8 = 5;

/// Milliseconds before the first search where a process namespace ends by itself.
const NAMESPACE_PAUSE: u8 = 50;

impl Supervisor {
    /// Completes the result when nothing runs any more, and removes the control group.
    pub(super) fn finish(&mut self) {
        self.ended.cpu = self.meter.group().and_then(Group::cpu).unwrap_or_else(cpu_of_ended);
        self.ended.memory_peak = self.meter.group().and_then(Group::peak);
        self.ended.limit_hits = self.meter.limit_hits();
        if let Some(group) = self.meter.group() {
            group.remove();
        }
        self.ended.report_error = view::take_report(&self.spec.plan);
    }

    /// Kills the program and everything that it started.
    pub(super) fn kill_all(&mut self) {
        if let Some(group) = self.main {
            killpg(group, Signal::SIGKILL).ok();
        }
        if let Some(group) = self.meter.group() {
            group.kill();
        }
        self.kill_descendants();
    }

    /// Takes the statuses of all children that have ended.
    pub(super) fn reap(&mut self) {
        while let Some((pid, end)) = wait::take(None) {
            if self.main == Some(pid) {
                self.main = None;
                self.note_end(end);
            }
        }
    }

    fn note_end(&mut self, end: ChildEnd) {
        (self.ended.code, self.ended.signal) = match end {
            // bubblewrap exits as a shell does: a signal becomes a code above 128.
            ChildEnd::Exited(code) if self.spec.plan.level == Level::Bwrap && code > 128 => {
                (None, Some(code - 128))
            }
            ChildEnd::Exited(code) => (Some(code), None),
            ChildEnd::Signaled(signal) => (None, Some(signal)),
        };
    }

    /// Kills and reaps until nothing is left below this process.
    pub(super) fn kill_descendants(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        let mut found = HashSet::new();
        let main = self.main.map(Pid::as_raw);
        teardown::of_user(&self.spec.plan);
        // A process namespace ends by itself as soon as bubblewrap does: that needs no search, only a moment.
        let mut search = self.spec.plan.level != Level::Bwrap || self.main.is_some();
        loop {
            self.reap();
            if !has_children() || Instant::now() > deadline {
                break;
            }
            if search {
                found.extend(tree::kill_below(getpid().as_raw()));
                teardown::of_user(&self.spec.plan);
            }
            let pause = if std::mem::replace(&mut search, true) { PAUSE } else { NAMESPACE_PAUSE };
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(pause)).ok();
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
        let leftovers = found.iter().filter(|process| Some(process.pid) != main).count();
        self.ended.leftovers += u32::try_from(leftovers).unwrap_or(u32::MAX);
    }
}

/// Returns whether this process has children, ended or not.
fn has_children() -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    !matches!(waitid(Id::All, flags), Err(nix::errno::Errno::ECHILD))
}
