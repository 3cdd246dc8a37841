//! The broker of files: keeps a suite's own files as they are where the program under test owns them. A mount is read
//! only, another user's file cannot be changed; without either, an owner can take every right back, and Landlock's rights
//! go by folder while new files are to be made beside the suite's. So the calls by which an owner removes, moves or
//! reopens what exists are not made by the program: the system hands them to this process (seccomp's user
//! notifications), which makes them in its place unless they are about a file that is to stay as it is.
//!
//! It looks at nothing twice: paths are resolved to descriptors here, and what was looked at is what is changed; and all
//! such calls come one after the other, so that none moves what another looks at. It is under the same Landlock rules,
//! filters and limits as the program, made before it has a rule of its own: it can do nothing that the program could
//! not have done. It is the program's parent, for a system may let only those look into a process that it descends from.
//!
//! The suite's own interpreters are nobody's to look into, so that their calls cannot be made for them: those are let
//! through, for they are trusted. Which they are is told by the supervisor, that hears it from themselves over the
//! channel for events. Nobody else may hide its memory; the calls of a program that cannot be read are refused.

mod caller;
mod calls;
mod listener;
mod trusted;
mod wards;

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, getpid, getppid};
use serde::{Deserialize, Serialize};

use super::ended::{self, End};
use caller::{Caller, Refused};
use listener::{Listener, Notice};
use trusted::Trusted;
use wards::Wards;

pub use listener::is_there;

/// What a broker is to keep.
#[derive(Debug, Serialize, Deserialize)]
pub struct Orders {
    /// The suite's folder, with its own files and nothing else yet.
    pub suite: PathBuf,
    /// A descriptor that the numbers of trusted processes come from, four bytes each.
    pub trusted: i32,
}

/// In which of the two processes this goes on.
pub enum Side {
    /// The program's.
    Program,
    /// The broker's.
    Broker(Box<Waiting>),
}

/// A broker before it serves.
pub struct Waiting {
    program: Pid,
    from: UnixStream,
    trusted: File,
    wards: Wards,
    /// The signal of a child's end, which waits.
    ends: SigSet,
}

/// Makes the orphans of what comes below this process its own. Denied later on, to the program as to its broker.
pub fn adopt() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Splits this process, which must have one thread: the child returns, and is to be the program; this one is its broker
/// until it ends. `writable` are the folders in which the program may change modes and times.
#[expect(unsafe_code, reason = "two processes come of one")]
pub fn split(orders: &Orders, trusted: File, writable: &[PathBuf]) -> io::Result<Side> {
    let wards = Wards::of(&orders.suite, writable)?;
    let (ours, theirs) = UnixStream::pair()?;
    let broker = getpid();
    // Before the child is there: what ends it must not be missed.
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
            super::rules::leave_alone_outside()?;
            listener::install(&theirs)?;
            Ok(Side::Program)
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            Ok(Side::Broker(Box::new(Waiting { program: child, from: ours, trusted, wards, ends })))
        }
    }
}

impl Waiting {
    /// Serves until the program has ended, and ends as it did. Nothing but this may own a descriptor by then.
    pub fn serve(self) -> ExitCode {
        let program = self.program;
        // Without a listener the program has not begun, and says why.
        let ended = self.run().ok().or_else(|| ended::take(Some(program)).map(|(_, end)| end));
        ended.map_or(ExitCode::FAILURE, end_as)
    }

    fn run(self) -> io::Result<End> {
        keep_nothing(&[self.from.as_fd(), self.trusted.as_fd()])?;
        // A request to end is the program's to answer.
        let mut deaf = self.ends;
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE] {
            deaf.add(signal);
        }
        deaf.thread_block()?;
        let signals = SignalFd::with_flags(&self.ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let listener = Listener::receive(&self.from)?;
        drop(self.from);
        let word = Some(PipeReader::from(OwnedFd::from(self.trusted)));
        Broker { listener, wards: self.wards, trusted: Trusted::default(), word }.run(self.program, &signals)
    }
}

/// Closes everything but `kept`: others wait for the end of the rest.
fn keep_nothing(kept: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    drop(null);
    let kept: Vec<i32> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    super::stage::close_all_but(&kept);
    Ok(())
}

/// Ends as the program did, for who waits for this process.
#[expect(unsafe_code, reason = "the safe form knows signals by name only")]
fn end_as(end: End) -> ExitCode {
    match end {
        End::Exited(code) => u8::try_from(code & 0xff).map_or(ExitCode::FAILURE, ExitCode::from),
        End::Signaled(signal) => {
            // SAFETY: plain calls on numbers, in a process of one thread. The runtime handles some signals, to say of
            // what it died, and ignores others.
            unsafe { nix::libc::signal(signal, nix::libc::SIG_DFL) };
            if let Ok(named) = Signal::try_from(signal) {
                SigSet::from(named).thread_unblock().ok();
            }
            // SAFETY: as above.
            unsafe { nix::libc::kill(getpid().as_raw(), signal) };
            // One whose default is not to end anything did not end the program either.
            ExitCode::FAILURE
        }
    }
}

struct Broker {
    listener: Listener,
    wards: Wards,
    trusted: Trusted,
    /// Where trusted processes are named; none: nobody will name any more.
    word: Option<PipeReader>,
}

impl Broker {
    fn run(mut self, program: Pid, signals: &SignalFd) -> io::Result<End> {
        // Until nobody is left who could call: of that it would be told over and over.
        let mut used = true;
        loop {
            let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.word.as_ref().map(|word| PollFd::new(word.as_fd(), PollFlags::POLLIN)));
            fds.extend(used.then(|| PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let told = fds.last().filter(|_| used).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
            let asked = told.contains(PollFlags::POLLIN);
            used &= !told.contains(PollFlags::POLLHUP);
            while let Ok(Some(_)) = signals.read_signal() {}
            let notice = asked.then(|| self.listener.next()).flatten();
            // After the call has come: who is named waits for that before it makes one.
            self.hear();
            if let Some(notice) = notice {
                self.answer(&notice);
            }
            if let Some(status) = reap(program) {
                return Ok(status);
            }
        }
    }

    /// Takes the numbers of trusted processes that have come.
    fn hear(&mut self) {
        while let Some(word) = &mut self.word {
            let mut fds = [PollFd::new(word.as_fd(), PollFlags::POLLIN)];
            if matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0) | Err(_)) {
                return;
            }
            let mut number = [0; 4];
            match word.read_exact(&mut number) {
                Ok(()) => self.trusted.add(Pid::from_raw(i32::from_le_bytes(number))),
                Err(_) => self.word = None,
            }
        }
    }

    fn answer(&self, notice: &Notice) {
        let (trusted, thread) = (&self.trusted, notice.caller());
        let made = match Caller::of(notice, &self.listener) {
            Err(Refused::Gone) => return,
            // To hide takes more than to be hidden: to be one that was named, not one that came of it.
            _ if calls::hides(notice) && !trusted.names(thread) => Err(Errno::EPERM),
            _ if calls::hides(notice) => return self.listener.let_through(notice),
            Ok(caller) => calls::make(notice, &caller, &self.wards),
            Err(Refused::Hidden) if trusted.includes(thread) => return self.listener.let_through(notice),
            Err(Refused::Hidden) => Err(Errno::EPERM),
        };
        self.listener.answer(notice, made);
    }
}

/// Takes the statuses of all that has ended below, so that their times count; that of the program, if it is among them.
fn reap(program: Pid) -> Option<End> {
    let ends = std::iter::from_fn(|| ended::take(None));
    ends.filter(|(pid, _)| *pid == program).map(|(_, end)| end).last()
}
