//! The broker's process.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpid};

use super::super::setup;
use super::super::wait::{self, ChildEnd};
use super::caller::{Caller, Refused};
use super::calls;
use super::listener::{Listener, Notice};
use super::protected_files::ProtectedFiles;
use super::trusted::Trusted;

/// A broker before it serves.
pub struct Waiting {
    pub(super) program: Pid,
    /// Socket on which the program sends its listener.
    pub(super) from: UnixStream,
    /// Pipe from which the numbers of trusted processes are read.
    pub(super) trusted: File,
    pub(super) protected: ProtectedFiles,
    /// The signal of a child's end, which is blocked.
    pub(super) child_signal: SigSet,
}

impl Waiting {
    /// Serves until the program has ended, and ends in the same way. No other part of the process may own a descriptor.
    pub fn serve(self) -> ExitCode {
        let program = self.program;
        // An error means that the program has failed before it began; it reports that itself.
        let ended = self.run().ok().or_else(|| wait::take(Some(program)).map(|(_, end)| end));
        ended.map_or(ExitCode::FAILURE, end_as)
    }

    fn run(self) -> io::Result<ChildEnd> {
        close_others(&[self.from.as_fd(), self.trusted.as_fd()])?;
        // Signals that ask for an end are for the program.
        let mut blocked = self.child_signal;
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE] {
            blocked.add(signal);
        }
        blocked.thread_block()?;
        let signals =
            SignalFd::with_flags(&self.child_signal, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let listener = Listener::receive(&self.from)?;
        drop(self.from);
        let names = Some(PipeReader::from(OwnedFd::from(self.trusted)));
        let broker = Broker { listener, protected: self.protected, trusted: Trusted::default(), names };
        broker.run(self.program, &signals)
    }
}

/// Closes all descriptors except for `kept`: the supervisor waits for the end of the program's pipes.
fn close_others(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    drop(null);
    let kept: Vec<i32> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    setup::close_all_but(&kept);
    Ok(())
}

/// Ends this process as the program ended, for the process that waits for it.
#[expect(unsafe_code, reason = "the safe form knows signals by name only")]
fn end_as(end: ChildEnd) -> ExitCode {
    match end {
        ChildEnd::Exited(code) => u8::try_from(code & 0xff).map_or(ExitCode::FAILURE, ExitCode::from),
        ChildEnd::Signaled(signal) => {
            // SAFETY: plain calls on numbers, in a process of one thread. The runtime handles some signals, to report of
            // what it died, and ignores others.
            unsafe { nix::libc::signal(signal, nix::libc::SIG_DFL) };
            if let Ok(named) = Signal::try_from(signal) {
                SigSet::from(named).thread_unblock().ok();
            }
            // SAFETY: as above.
            unsafe { nix::libc::kill(getpid().as_raw(), signal) };
            // Not reached: a signal that ended the program ends this process as well.
            ExitCode::FAILURE
        }
    }
}

struct Broker {
    listener: Listener,
    protected: ProtectedFiles,
    trusted: Trusted,
    /// Pipe on which trusted processes are named; none: it is closed.
    names: Option<PipeReader>,
}

impl Broker {
    fn run(mut self, program: Pid, signals: &SignalFd) -> io::Result<ChildEnd> {
        // Whether a process with the filter still exists; polling the listener after that would return at once, again and again.
        let mut used = true;
        loop {
            let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.names.as_ref().map(|names| PollFd::new(names.as_fd(), PollFlags::POLLIN)));
            fds.extend(used.then(|| PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            let events = fds.last().filter(|_| used).and_then(PollFd::revents).unwrap_or(PollFlags::empty());
            let called = events.contains(PollFlags::POLLIN);
            used &= !events.contains(PollFlags::POLLHUP);
            while let Ok(Some(_)) = signals.read_signal() {}
            let notice = called.then(|| self.listener.next()).flatten();
            // After the call was received: a process waits until it is named before it makes a call.
            self.read_names();
            if let Some(notice) = notice {
                self.answer(&notice);
            }
            if let Some(status) = reap(program) {
                return Ok(status);
            }
        }
    }

    /// Reads the numbers of trusted processes that have arrived.
    fn read_names(&mut self) {
        while let Some(names) = &mut self.names {
            let mut fds = [PollFd::new(names.as_fd(), PollFlags::POLLIN)];
            if matches!(poll(&mut fds, PollTimeout::ZERO), Ok(0) | Err(_)) {
                return;
            }
            let mut number = [0; 4];
            match names.read_exact(&mut number) {
                Ok(()) => self.trusted.add(Pid::from_raw(i32::from_le_bytes(number))),
                Err(_) => self.names = None,
            }
        }
    }

    /// Makes a call, lets it through, or refuses it.
    fn answer(&self, notice: &Notice) {
        let (trusted, thread) = (&self.trusted, notice.caller());
        let made = match Caller::of(notice, &self.listener) {
            Err(Refused::Gone) => return,
            // Only a process that was named may hide its memory; a fork of it may not.
            _ if calls::hides(notice) && !trusted.names(thread) => Err(Errno::EPERM),
            _ if calls::hides(notice) => return self.listener.let_through(notice),
            Ok(caller) => calls::make(notice, &caller, &self.protected),
            Err(Refused::Hidden) if trusted.includes(thread) => return self.listener.let_through(notice),
            Err(Refused::Hidden) => Err(Errno::EPERM),
        };
        self.listener.answer(notice, made);
    }
}

/// Takes the statuses of all children that have ended, so that their processor time is counted. Returns the program's end, if
/// it is among them.
fn reap(program: Pid) -> Option<ChildEnd> {
    let ends = std::iter::from_fn(|| wait::take(None));
    ends.filter(|(pid, _)| *pid == program).map(|(_, end)| end).last()
}
