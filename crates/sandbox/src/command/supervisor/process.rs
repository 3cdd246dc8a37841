//! The supervisor's process, from its start to its last event.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, setsid};

use super::super::channel::Channel;
use super::super::disk::Depth;
use super::super::meter::Meter;
use super::super::protocol::{Ended, Event, Failed, Part};
use super::super::spec::Spec;
use super::super::start::Failure;
use super::super::tamper_watch::TamperWatch;

/// The runner's first argument that selects this mode.
pub const MODE: &str = "__supervise";

/// Runs the supervisor. The control socket is its stdin.
pub fn main() -> ExitCode {
    match Supervisor::new().and_then(Supervisor::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A supervisor and its command.
pub(super) struct Supervisor {
    pub(super) control: UnixStream,
    pub(super) signals: SignalFd,
    pub(super) spec: Spec,
    /// The child of this process; its end is the command's end. None before its start and after its end.
    pub(super) main: Option<Pid>,
    /// Leader of the program's process group; inside bubblewrap it is not `main`.
    pub(super) leader: Option<Pid>,
    pub(super) meter: Meter,
    pub(super) channel: Option<Channel>,
    /// Pipe on which the broker is told whom to trust.
    pub(super) trusted: Option<PipeWriter>,
    pub(super) tamper_watch: Option<TamperWatch>,
    pub(super) ended: Ended,
}

impl Supervisor {
    fn new() -> io::Result<Self> {
        reset_signals();
        close_inherited();
        // The order matters: the death signal must find a handler that kills the command, not the default, which only ends
        // this process.
        let mut watched = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            watched.add(signal);
        }
        watched.thread_block()?;
        let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
        nix::sys::prctl::set_child_subreaper(true)?;
        setsid()?;
        let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let spec = read_spec(&mut control)?;
        let meter = Meter::new(&spec.plan, None);
        Ok(Self {
            control,
            signals,
            spec,
            main: None,
            leader: None,
            meter,
            channel: None,
            trusted: None,
            tamper_watch: None,
            ended: Ended::default(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        if let Err(failure) = self.begin() {
            self.kill_all();
            if let Some(group) = self.meter.group() {
                group.remove();
            }
            let failed = match failure {
                Failure::Program(error) => Failed::new(Part::Program, &error),
                Failure::Sandbox(error) => Failed::new(Part::Sandbox, &error),
            };
            return self.send(&Event::Failed(failed));
        }
        let null = File::options().read(true).write(true).open("/dev/null")?;
        // From here on only the command holds its pipes: their end is its end.
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        // A failed write means that the runner is gone; the loop notices that and ends the command.
        self.send(&Event::Started).ok();
        while self.main.is_some() {
            self.wait()?;
            self.handle_messages();
            self.reap();
        }
        // Messages that were sent right before the end.
        self.handle_messages();
        // Now, while files without a name are still there.
        self.meter.look_at_disk(Depth::Last);
        self.kill_descendants();
        self.check_tampering();
        self.finish();
        let ended = self.ended.clone();
        self.send(&Event::Ended(ended))
    }

    pub(super) fn send(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
        line.push(b'\n');
        self.control.write_all(&line)
    }
}

/// Sets every signal to its default. The process that started the runner (`nohup`, a shell's background job) may have left
/// some ignored; then neither this process nor the command would receive them.
#[expect(unsafe_code, reason = "setting a signal to its default runs no handler")]
fn reset_signals() {
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action is no code of ours. It fails for no signal that is left in the list.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.ok();
    }
}

/// Closes descriptors that the runner inherited and passed on: the command must not get them.
#[expect(unsafe_code, reason = "the call has no safe form; nothing here owns a descriptor yet")]
fn close_inherited() {
    // SAFETY: this process has opened nothing but what it inherited, and keeps only stdin, stdout and stderr of that.
    unsafe { nix::libc::syscall(nix::libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
}

fn read_spec(control: &mut UnixStream) -> io::Result<Spec> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_le_bytes(length) as usize];
    control.read_exact(&mut request)?;
    serde_json::from_slice(&request).map_err(io::Error::other)
}
