//! Ends of child processes, by any signal. The usual wrapper fails for signals without a name (real-time signals), after
//! which the child's status is lost.

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildEnd {
    /// It exited with this code.
    Exited(i32),
    /// It was ended by the signal of this number.
    Signaled(i32),
}

/// Takes the status of a child that has ended: of the child `of`, for which it waits, or of any child. Returns none if there
/// is no such child.
#[expect(unsafe_code, reason = "the safe form knows signals by name only")]
pub fn take(of: Option<Pid>) -> Option<(Pid, ChildEnd)> {
    let (which, flags) = of.map_or((-1, libc::WNOHANG), |pid| (pid.as_raw(), 0));
    loop {
        let mut status = 0;
        // SAFETY: the call fills in one number.
        let pid = unsafe { libc::waitpid(which, &raw mut status, flags) };
        if pid < 0 && Errno::last() == Errno::EINTR {
            continue;
        }
        if pid <= 0 {
            return None;
        }
        if libc::WIFEXITED(status) {
            return Some((Pid::from_raw(pid), ChildEnd::Exited(libc::WEXITSTATUS(status))));
        }
        if libc::WIFSIGNALED(status) {
            return Some((Pid::from_raw(pid), ChildEnd::Signaled(libc::WTERMSIG(status))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        clippy::zombie_processes,
        reason = "this takes its status by itself"
    )]
    fn takes_ends_by_any_signal() {
        for (script, end) in [
            ("exit 3", ChildEnd::Exited(3)),
            ("kill -9 $$", ChildEnd::Signaled(9)),
            ("kill -40 $$", ChildEnd::Signaled(40)),
        ] {
            let child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
            assert_eq!(take(Some(pid)), Some((pid, end)), "{script}");
        }
    }
}
