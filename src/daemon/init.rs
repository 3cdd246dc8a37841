//! Process 1 of a container: a small init that starts the runner, forwards signals and reaps orphaned processes.
//!
//! It is a process of its own, because its `waitpid(-1)` would take the exit statuses of tokio's children.

use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};

/// Forks if this is process 1. The parent becomes the init and returns the runner's exit code when the runner has ended.
/// Returns none in the child, which is the runner, and in a process that is not process 1.
pub fn split() -> Option<ExitCode> {
    if getpid().as_raw() != 1 {
        return None;
    }
    // Blocked before the fork, so that no signal is lost; the child restores the mask.
    let signals = SigSet::all();
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK).ok()?;
    // If the fork fails, the runner works as process 1 itself.
    let forked = fork_once().unwrap_or(ForkResult::Child);
    if let ForkResult::Parent { child } = forked {
        return Some(watch(child, &signals));
    }
    before.thread_set_mask().ok();
    None
}

#[expect(unsafe_code, reason = "fork before any thread or runtime exists")]
fn fork_once() -> nix::Result<ForkResult> {
    // SAFETY: this is the first thing the process does; it has one thread and holds no lock.
    unsafe { fork() }
}

/// Forwards signals to the runner and reaps processes until the runner has ended.
fn watch(runner: Pid, signals: &SigSet) -> ExitCode {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(runner) {
                    return code;
                }
            }
            // Signals are blocked here, so the init itself does not act on them.
            Ok(signal) => {
                kill(runner, signal).ok();
            }
            Err(_) => {}
        }
    }
}

/// Reaps all ended processes; returns the exit code of the runner if it is one of them.
fn reap(runner: Pid) -> Option<ExitCode> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == runner => {
                ended = Some(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == runner => {
                // The convention of shells: 128 plus the number of the signal.
                ended = Some(ExitCode::from(128 + u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ended,
        }
    }
}
