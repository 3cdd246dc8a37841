//! The split of the setup's process into a broker and a program.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use serde::{Deserialize, Serialize};

use super::super::landlock_rules;
use super::listener;
use super::protected_files::ProtectedFiles;
use super::serve::Waiting;

/// What a broker protects.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The suite's folder, which holds the suite's own files only when the broker starts.
    pub suite: PathBuf,
    /// Descriptor from which the numbers of trusted processes are read, four bytes each.
    pub trusted: i32,
}

/// The two processes of a split, each with its own way to go on.
pub enum Side {
    /// This is the program's process.
    Program,
    /// This is the broker's process.
    Broker(Box<Waiting>),
}

/// Makes orphans below this process its own children. The filter denies this to the program and its broker later.
///
/// # Errors
/// The system's error.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Splits this process, which must have one thread, into the program, which is the child, and its broker. `writable` are the
/// folders in which the program may change modes and times.
///
/// # Errors
/// The system's error, in either process.
#[expect(unsafe_code, reason = "two processes come of one")]
pub fn split(orders: &Orders, trusted: File, writable: &[PathBuf]) -> io::Result<Side> {
    let protected = ProtectedFiles::of(&orders.suite, writable)?;
    let (ours, theirs) = UnixStream::pair()?;
    let broker = getpid();
    // Before the fork: the signal of the child's end must not be missed.
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    ends.thread_block()?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop((ours, trusted));
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != broker {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            ends.thread_unblock()?;
            nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            landlock_rules::isolate_processes()?;
            listener::install(&theirs)?;
            Ok(Side::Program)
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            Ok(Side::Broker(Box::new(Waiting {
                program: child,
                from: ours,
                trusted,
                protected,
                child_signal: ends,
            })))
        }
    }
}
