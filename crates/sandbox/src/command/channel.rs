//! The channel by which a suite's interpreter tells which case begins and ends: each line goes on to the runner, with
//! what was measured. The interpreter waits for a byte of answer, so that a case ends before the next one begins.

use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, setsockopt, sockopt};
use nix::unistd::Pid;
use serde::Deserialize;

/// Bytes of a line at the most; a longer one is nothing that the plugin says, and ends the channel.
const LONGEST: usize = 256 << 10;

/// The supervisor's end.
pub(super) struct Channel {
    socket: UnixStream,
    buffer: Vec<u8>,
    /// Whoever spoke last, as this process numbers processes.
    speaker: Option<Pid>,
    closed: bool,
}

/// What of a line matters here.
#[derive(Debug, Deserialize)]
struct Word {
    event: String,
    pid: Option<i32>,
    /// False of a case beside which others run, whose memory nobody can tell.
    #[serde(default = "alone")]
    alone: bool,
}

fn alone() -> bool {
    true
}

/// A line, and what it means for the measurement.
pub(super) struct Said {
    pub(super) line: String,
    pub(super) kind: Kind,
}

/// What a line means for the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A case begins.
    Start,
    /// It has ended.
    End,
    /// The process that speaks, or the one of this number, is one of the suite's own interpreters.
    Trust(Option<i32>),
    /// Anything else.
    Other,
}

impl Channel {
    /// A channel, and the end for the program.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // The system then names the sender of each message: its own word for it would be a number of its namespace's.
        setsockopt(&ours, sockopt::PassCred, &true)?;
        Ok((Self { socket: ours, buffer: Vec::new(), speaker: None, closed: false }, OwnedFd::from(theirs)))
    }

    /// The descriptor to wait on; none: nobody speaks any more.
    pub(super) fn waits(&self) -> Option<BorrowedFd<'_>> {
        (!self.closed).then(|| self.socket.as_fd())
    }

    /// The process that spoke last.
    pub(super) fn speaker(&self) -> Option<Pid> {
        self.speaker
    }

    /// Takes the next whole line, if there is one.
    pub(super) fn next(&mut self) -> Option<Said> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]).into_owned();
                let word = serde_json::from_str::<Word>(&line).ok();
                let kind = match word.as_ref().map(|word| (word.event.as_str(), word.alone)) {
                    Some(("start", true)) => Kind::Start,
                    Some(("end", true)) => Kind::End,
                    Some(("trust", _)) => Kind::Trust(word.and_then(|word| word.pid)),
                    _ => Kind::Other,
                };
                return Some(Said { line, kind });
            }
            if self.closed || self.buffer.len() > LONGEST || !self.receive() {
                self.closed |= self.buffer.len() > LONGEST;
                return None;
            }
        }
    }

    /// Lets the interpreter go on.
    pub(super) fn answer(&mut self) {
        // Without room, or without a reader, nobody waits for it.
        self.socket.write_all(b"k").ok();
    }

    /// Reads what has come; whether that was anything.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let got = recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
        let count = match got {
            Ok(message) => {
                for control in message.cmsgs().into_iter().flatten() {
                    if let ControlMessageOwned::ScmCredentials(sender) = control {
                        self.speaker = Some(Pid::from_raw(sender.pid())).filter(|pid| pid.as_raw() > 1);
                    }
                }
                message.bytes
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return false,
            Err(_) => 0,
        };
        self.closed |= count == 0;
        self.buffer.extend_from_slice(&bytes[..count]);
        count > 0
    }
}
