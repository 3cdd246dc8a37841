//! The ends of children, of every signal: those without a name (real-time signals) are an error to the usual wrapper, after
//! which the child is gone and nobody has heard of it.

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal of this number.
    Signaled(i32),
}

/// Takes the status of one child that has ended: of any, or of one, for which it waits. None: there is none.
#[expect(unsafe_code, reason = "the safe form knows signals by name only")]
pub fn take(of: Option<Pid>) -> Option<(Pid, End)> {
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
            return Some((Pid::from_raw(pid), End::Exited(libc::WEXITSTATUS(status))));
        }
        if libc::WIFSIGNALED(status) {
            return Some((Pid::from_raw(pid), End::Signaled(libc::WTERMSIG(status))));
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
    fn an_end_is_taken_whatever_the_signal() {
        for (script, end) in
            [("exit 3", End::Exited(3)), ("kill -9 $$", End::Signaled(9)), ("kill -40 $$", End::Signaled(40))]
        {
            let child = std::process::Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
            assert_eq!(take(Some(pid)), Some((pid, end)), "{script}");
        }
    }
}
