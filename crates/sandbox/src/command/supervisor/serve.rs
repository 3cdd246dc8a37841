//! The supervisor while the program runs: requests, messages of the program, limits.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::super::channel::{Channel, Kind};
use super::super::exit::PluginEvent;
use super::super::limit_hit::LimitHit;
use super::super::protocol::{Event, Request};
use super::super::tamper_watch::TamperWatch;
use super::super::tree;
use super::process::Supervisor;

impl Supervisor {
    /// Sleeps until something happens, and handles requests, signals and limits. Wakes up when a child ends, the program
    /// sends a message, the runner sends a request or is gone, or a measurement is due.
    pub(super) fn wait(&mut self) -> io::Result<()> {
        let mut fds = vec![
            PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        let channel = self.channel.as_ref().and_then(Channel::readable_fd);
        fds.extend(channel.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        fds.extend(self.tamper_watch.as_ref().map(|watch| PollFd::new(watch.as_fd(), PollFlags::POLLIN)));
        let pause = self.meter.pause().map_or(PollTimeout::NONE, |pause| {
            // Rounded up: a pause of less than a millisecond must not spin.
            PollTimeout::try_from(pause.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, pause) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let requested = fds[0].any().unwrap_or(false);
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                self.kill_all();
            }
        }
        if requested {
            let mut request = [0];
            match self.control.read(&mut request) {
                Ok(1) => self.handle_request(Request::of(request[0])),
                // End of file or a broken socket: the runner is gone.
                _ => self.kill_all(),
            }
        }
        if self.meter.look().is_some() | self.check_tampering() {
            self.kill_all();
        }
        Ok(())
    }

    /// Returns whether a file of the suite has been changed since the last check, and keeps the first one for the result.
    pub(super) fn check_tampering(&mut self) -> bool {
        let file = self.tamper_watch.as_mut().and_then(TamperWatch::tampered_file);
        let found = file.is_some();
        self.ended.tampered_file = self.ended.tampered_file.take().or(file);
        found
    }

    /// Forwards the program's messages with what was measured, and answers them.
    pub(super) fn handle_messages(&mut self) {
        while let Some((message, sender)) = self
            .channel
            .as_mut()
            .and_then(|channel| channel.next().map(|message| (message, channel.sender())))
        {
            let (memory, note) = match message.kind {
                Kind::Start => {
                    self.meter.begin_case(sender);
                    (None, None)
                }
                Kind::End => self.meter.end_case(),
                Kind::Trust(named) => {
                    self.trust(named, sender);
                    (None, None)
                }
                Kind::Other => (None, None),
            };
            if !matches!(message.kind, Kind::Trust(_)) {
                // A runner that is gone is noticed where its requests are read.
                self.send(&Event::Plugin(PluginEvent { line: message.line, memory, note })).ok();
            }
            if let Some(channel) = self.channel.as_mut().filter(|_| message.kind != Kind::Other) {
                channel.answer();
            }
        }
    }

    /// Tells the broker to trust a process: the one that is `named`, by its number inside the sandbox, or the sender.
    fn trust(&mut self, named: Option<i32>, sender: Option<Pid>) {
        let number = named.or_else(|| sender.and_then(tree::number_within));
        if let (Some(broker), Some(number)) = (&mut self.trusted, number) {
            broker.write_all(&number.to_le_bytes()).ok();
        }
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Interrupt => self.signal(Signal::SIGINT),
            Request::Terminate => self.signal(Signal::SIGTERM),
            Request::KillForOutput => {
                self.meter.note(LimitHit::Output);
                self.kill_all();
            }
            Request::Start | Request::Kill => self.kill_all(),
        }
    }

    /// Signals the program's group. A stopped program must be continued to receive the signal.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.leader {
            // An error means that the group is gone.
            killpg(group, signal).ok();
            killpg(group, Signal::SIGCONT).ok();
        }
    }
}
