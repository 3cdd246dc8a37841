//! The supervisor: a small single-threaded process between the runner and one step.
//!
//! It is a session leader (a step has no terminal to prompt on, and a Ctrl-C at the runner's terminal is not for
//! it) and a child subreaper (what forks twice lands here). It ends everything below it when the step's main
//! process has ended, when it is told to, when the runner's end of the control socket is gone, or when the
//! runner dies. Only then does it report.

use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout, getpid, setsid};

use super::channel::{Channel, Kind};
use super::disk::Depth;
use super::hit::Hit;
use super::meter::{Meter, cpu_of_ended};
use super::seal::Seal;
use super::start::{self, Failure, start};
use super::{Ended, Event, Spec, Told, teardown, tree};
use crate::confine::cgroup::Group;
use crate::confine::ended::{self, End};
use crate::confine::{Level, view};

/// The first argument that selects this mode.
pub const MODE: &str = "__supervise";
/// SIGINT to the step's group.
pub(super) const INTERRUPT: u8 = b'i';
/// SIGTERM to the step's group.
pub(super) const TERMINATE: u8 = b't';
/// All that the step needs is there: it may begin. The first request of all; where it is another, there will be no step.
pub(super) const GO: u8 = b'g';
/// SIGKILL to all below the supervisor.
pub(super) const KILL: u8 = b'k';
/// The same, for too much output.
pub(super) const FLOODED: u8 = b'o';

/// How long killed processes have to go away; longer only where the kernel itself holds them.
const SWEEP: Duration = Duration::from_secs(10);

/// The program of this mode. The control socket is its stdin.
pub fn main() -> ExitCode {
    match Supervisor::new().and_then(Supervisor::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Sets every signal to its default: whoever started the runner (`nohup`, a shell's background job) may have left
/// some ignored, and then neither this process nor the step would hear them.
#[expect(unsafe_code, reason = "setting a signal to its default runs no handler")]
fn take_defaults() {
    for signal in Signal::iterator().filter(|s| !matches!(s, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action is no code of ours. It fails for no signal that is left in the list.
        unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }.ok();
    }
}

/// Closes what whoever started the runner left open in it: nothing of that is a step's business.
#[expect(unsafe_code, reason = "the call has no safe form; nothing here owns a descriptor yet")]
fn close_inherited() {
    // SAFETY: this process has opened nothing but what it inherited, and keeps only stdin, stdout and stderr of that.
    unsafe { nix::libc::syscall(nix::libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
}

struct Supervisor {
    control: UnixStream,
    signals: SignalFd,
    spec: Spec,
    main: Option<Pid>,
    /// The leader of the program's group; within bubblewrap not the same.
    leader: Option<Pid>,
    meter: Meter,
    channel: Option<Channel>,
    /// Where the program's broker hears whom to trust.
    trusted: Option<PipeWriter>,
    seal: Option<Seal>,
    ended: Ended,
}

impl Supervisor {
    fn new() -> io::Result<Self> {
        take_defaults();
        close_inherited();
        // The order matters: the death signal must find a handler that sweeps, not the default that just ends.
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
            seal: None,
            ended: Ended::default(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        if let Err(failure) = self.begin() {
            self.kill_all();
            if let Some(group) = self.meter.group() {
                group.remove();
            }
            let event = match failure {
                Failure::Program(error) => Event::Failed { reason: error.to_string(), sandbox: false },
                Failure::Sandbox(error) => Event::Failed { reason: error.to_string(), sandbox: true },
            };
            return self.tell(&event);
        }
        let null = File::options().read(true).write(true).open("/dev/null")?;
        // From here on only the step holds its pipes: their end is its end.
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        // A runner that is gone already cannot be told; the loop sees that and ends the step.
        self.tell(&Event::Started).ok();
        while self.main.is_some() {
            self.wait_for_something()?;
            self.listen();
            self.reap();
        }
        // What was said right before the end.
        self.listen();
        // While what has no name is still there.
        self.meter.look_at_disk(Depth::Last);
        self.sweep();
        self.look_at_seal();
        self.finish();
        let ended = self.ended.clone();
        self.tell(&Event::Ended(ended))
    }

    /// Makes what the plan asks for, and starts the program in it when it may begin.
    fn begin(&mut self) -> Result<(), Failure> {
        if self.spec.plan.level == Level::None {
            self.wait_for_go()?;
        }
        view::make(&mut self.spec.plan).map_err(Failure::Sandbox)?;
        self.seal = Seal::of(&self.spec.plan).map_err(Failure::Sandbox)?;
        // New credentials, as a user namespace gives them, take the death signal away.
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(|error| Failure::Sandbox(error.into()))?;
        let plan = &self.spec.plan;
        let group = plan
            .group
            .as_ref()
            .map(|(groups, name)| groups.make(name, &plan.limits, start::own_processes(plan)));
        let group = group.transpose().map_err(Failure::Sandbox)?;
        self.meter = Meter::new(plan, group);
        let channel = if plan.events { Some(Channel::new().map_err(Failure::Sandbox)?) } else { None };
        let (ours, theirs) = channel.map_or((None, None), |(ours, theirs)| (Some(ours), Some(theirs)));
        let mut started = start(&self.spec, self.meter.group(), theirs.as_ref())?;
        drop(theirs);
        self.channel = ours;
        self.main = Some(started.child);
        if self.spec.plan.level != Level::None {
            self.wait_for_go()?;
        }
        view::fill(&self.spec.plan).map_err(Failure::Sandbox)?;
        self.leader = Some(started.go(&self.control)?);
        self.trusted = started.trusted;
        Ok(())
    }

    /// Waits for [`GO`]; anything else, as a signal that ends the runner's children, means that there will be no step.
    fn wait_for_go(&mut self) -> Result<(), Failure> {
        let unwanted = || Failure::Sandbox(io::Error::other("it is not wanted any more"));
        loop {
            let mut fds = [
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(Failure::Sandbox(error.into())),
            }
            let asked = fds[0].any().unwrap_or(false);
            // What has ended by itself is found out when it is to begin.
            while let Ok(Some(signal)) = self.signals.read_signal() {
                if signal.ssi_signo != Signal::SIGCHLD as u32 {
                    return Err(unwanted());
                }
            }
            let mut request = [0];
            if asked {
                let said = self.control.read(&mut request);
                return if matches!(said, Ok(1)) && request[0] == GO { Ok(()) } else { Err(unwanted()) };
            }
        }
    }

    /// What is left to do when nothing runs any more.
    fn finish(&mut self) {
        self.ended.cpu = self.meter.group().and_then(Group::cpu).unwrap_or_else(cpu_of_ended);
        self.ended.memory = self.meter.group().and_then(Group::peak);
        self.ended.hits = self.meter.hits();
        if let Some(group) = self.meter.group() {
            group.remove();
        }
        self.ended.report = view::bring_out(&self.spec.plan);
    }

    fn tell(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
        line.push(b'\n');
        self.control.write_all(&line)
    }

    /// Sleeps until a child ends, the program says something, the runner asks for something or is gone, or it is time
    /// to look at what is used.
    fn wait_for_something(&mut self) -> io::Result<()> {
        let mut fds = vec![
            PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        let spoken = self.channel.as_ref().and_then(Channel::waits);
        fds.extend(spoken.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        fds.extend(self.seal.as_ref().map(|seal| PollFd::new(seal.as_fd(), PollFlags::POLLIN)));
        let pause = self.meter.pause().map_or(PollTimeout::NONE, |pause| {
            // Rounded up: a pause of less than a millisecond must not spin.
            PollTimeout::try_from(pause.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, pause) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let asked = fds[0].any().unwrap_or(false);
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                self.kill_all();
            }
        }
        if asked {
            let mut request = [0];
            match self.control.read(&mut request) {
                Ok(1) => self.obey(request[0]),
                // End of file or a broken socket: the runner is gone.
                _ => self.kill_all(),
            }
        }
        if self.meter.look().is_some() | self.look_at_seal() {
            self.kill_all();
        }
        Ok(())
    }

    /// Whether a file of the suite has been changed since the last look.
    fn look_at_seal(&mut self) -> bool {
        let broken = self.seal.as_mut().and_then(Seal::broken);
        let found = broken.is_some();
        self.ended.spoiled = self.ended.spoiled.take().or(broken);
        found
    }

    /// Passes on what the program says, with what was measured, and lets it go on.
    fn listen(&mut self) {
        while let Some((said, speaker)) =
            self.channel.as_mut().and_then(|channel| channel.next().map(|said| (said, channel.speaker())))
        {
            let (memory, note) = match said.kind {
                Kind::Start => {
                    self.meter.begin(speaker);
                    (None, None)
                }
                Kind::End => self.meter.end(),
                Kind::Trust(named) => {
                    self.trust(named, speaker);
                    (None, None)
                }
                Kind::Other => (None, None),
            };
            if !matches!(said.kind, Kind::Trust(_)) {
                // A runner that is gone is noticed where its requests are read.
                self.tell(&Event::Told(Told { line: said.line, memory, note })).ok();
            }
            if let Some(channel) = self.channel.as_mut().filter(|_| said.kind != Kind::Other) {
                channel.answer();
            }
        }
    }

    /// Tells the broker whose calls are not its business: the process that is `named`, by the number that it has within,
    /// or the one that speaks.
    fn trust(&mut self, named: Option<i32>, speaker: Option<Pid>) {
        let number = named.or_else(|| speaker.and_then(tree::number_within));
        if let (Some(broker), Some(number)) = (&mut self.trusted, number) {
            broker.write_all(&number.to_le_bytes()).ok();
        }
    }

    fn obey(&mut self, request: u8) {
        let signal = match request {
            INTERRUPT => Signal::SIGINT,
            TERMINATE => Signal::SIGTERM,
            FLOODED => {
                self.meter.note(Hit::Output);
                return self.kill_all();
            }
            _ => return self.kill_all(),
        };
        if let Some(group) = self.leader {
            // A group that is gone is what was asked for. A stopped one must be woken to hear.
            killpg(group, signal).ok();
            killpg(group, Signal::SIGCONT).ok();
        }
    }

    fn kill_all(&mut self) {
        if let Some(group) = self.main {
            killpg(group, Signal::SIGKILL).ok();
        }
        if let Some(group) = self.meter.group() {
            group.kill();
        }
        self.sweep();
    }

    /// Takes the statuses of all children that have ended.
    fn reap(&mut self) {
        while let Some((pid, end)) = ended::take(None) {
            match end {
                End::Exited(code) => self.note_end(pid, Some(code), None),
                End::Signaled(signal) => self.note_end(pid, None, Some(signal)),
            }
        }
    }

    fn note_end(&mut self, pid: Pid, code: Option<i32>, signal: Option<i32>) {
        if self.main == Some(pid) {
            self.main = None;
            // bubblewrap ends as a shell would: a signal becomes a number above 128.
            let signalled = code.filter(|&code| self.spec.plan.level == Level::Bwrap && code > 128);
            self.ended.code = code.filter(|_| signalled.is_none());
            self.ended.signal = signal.or(signalled.map(|code| code - 128));
        }
    }

    /// Kills and reaps until nothing is left below.
    fn sweep(&mut self) {
        let give_up = Instant::now() + SWEEP;
        let mut met = std::collections::HashSet::new();
        let main = self.main.map(Pid::as_raw);
        teardown::of_user(&self.spec.plan);
        // A process namespace ends by itself as soon as bubblewrap does: that needs no search, only a moment.
        let mut search = self.spec.plan.level != Level::Bwrap || self.main.is_some();
        loop {
            self.reap();
            let none_left = matches!(
                waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT),
                Err(nix::errno::Errno::ECHILD)
            );
            if none_left || Instant::now() > give_up {
                break;
            }
            if search {
                met.extend(tree::kill_below(getpid().as_raw()));
                teardown::of_user(&self.spec.plan);
            }
            let pause = if std::mem::replace(&mut search, true) { 5u8 } else { 50 };
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(pause)).ok();
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
        let leftovers = met.iter().filter(|process| Some(process.pid) != main).count();
        self.ended.leftovers += u32::try_from(leftovers).unwrap_or(u32::MAX);
    }
}

fn read_spec(control: &mut UnixStream) -> io::Result<Spec> {
    let mut length = [0; 4];
    control.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_le_bytes(length) as usize];
    control.read_exact(&mut request)?;
    serde_json::from_slice(&request).map_err(io::Error::other)
}
