//! The tiny init that the runner is as PID 1 of a container: it starts the runner proper, hands signals on, and
//! reaps whatever loses its parent, so that no zombie stays and no `waitpid(-1)` meets tokio's children.

use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid};

/// As PID 1: becomes the init, and returns what the runner proper ended with. Everywhere else, and in the runner
/// proper: none.
pub fn split() -> Option<ExitCode> {
    if getpid().as_raw() != 1 {
        return None;
    }
    // Blocked before the fork, so that none is lost between; the child takes the mask back.
    let signals = SigSet::all();
    let before = signals.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_SETMASK).ok()?;
    // Without a child there is nobody to reap for: then the runner goes on as PID 1 itself.
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

fn watch(runner: Pid, signals: &SigSet) -> ExitCode {
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(runner) {
                    return code;
                }
            }
            // A terminal stops the foreground group by itself; what the runner is told, it is told once.
            Ok(signal) => {
                kill(runner, signal).ok();
            }
            Err(_) => {}
        }
    }
}

/// Takes every status there is; the exit code where the runner's is among them.
fn reap(runner: Pid) -> Option<ExitCode> {
    let mut ended = None;
    loop {
        match waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == runner => {
                ended = Some(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == runner => {
                // As shells say it: 128 and the signal's number.
                ended = Some(ExitCode::from(128 + u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ended,
        }
    }
}
