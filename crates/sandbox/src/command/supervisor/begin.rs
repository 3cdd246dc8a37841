//! The command's start: its sandbox is made, then its program is started.

use std::io::{self, Read};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::super::channel::Channel;
use super::super::meter::Meter;
use super::super::protocol::Request;
use super::super::start::{self, Failure, start};
use super::super::tamper_watch::TamperWatch;
use super::process::Supervisor;
use crate::confine::{Level, view};

impl Supervisor {
    /// Makes what the plan requires, and starts the program in it when the runner requests the start.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        if self.spec.plan.level == Level::None {
            self.wait_for_start()?;
        }
        view::make(&mut self.spec.plan).map_err(Failure::Sandbox)?;
        self.tamper_watch = TamperWatch::of(&self.spec.plan).map_err(Failure::Sandbox)?;
        // A user namespace gives new credentials, which clear the death signal.
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(|error| Failure::Sandbox(error.into()))?;
        let plan = &self.spec.plan;
        let group = plan
            .group
            .as_ref()
            .map(|(groups, name)| groups.make(name, &plan.limits, start::sandbox_processes(plan)));
        let group = group.transpose().map_err(Failure::Sandbox)?;
        self.meter = Meter::new(plan, group);
        let channel = if plan.events { Some(Channel::new().map_err(Failure::Sandbox)?) } else { None };
        let (ours, theirs) = channel.map_or((None, None), |(ours, theirs)| (Some(ours), Some(theirs)));
        let mut started = start(&self.spec, self.meter.group(), theirs.as_ref())?;
        drop(theirs);
        self.channel = ours;
        self.main = Some(started.child);
        if self.spec.plan.level != Level::None {
            self.wait_for_start()?;
        }
        view::fill(&self.spec.plan).map_err(Failure::Sandbox)?;
        self.leader = Some(started.go(&self.control)?);
        self.trusted = started.trusted;
        Ok(())
    }

    /// Waits for [`Request::Start`]. Any other request, a closed socket or a signal cancels the command.
    fn wait_for_start(&mut self) -> Result<(), Failure> {
        let cancelled = || Failure::Sandbox(io::Error::other("the command was cancelled"));
        loop {
            let mut fds = [
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(Failure::Sandbox(error.into())),
            }
            let requested = fds[0].any().unwrap_or(false);
            // A child that has ended is noticed when it is to begin.
            while let Ok(Some(signal)) = self.signals.read_signal() {
                if signal.ssi_signo != Signal::SIGCHLD as u32 {
                    return Err(cancelled());
                }
            }
            if requested {
                let mut request = [0];
                let read = self.control.read(&mut request);
                let starts = matches!(read, Ok(1)) && Request::of(request[0]) == Request::Start;
                return if starts { Ok(()) } else { Err(cancelled()) };
            }
        }
    }
}
