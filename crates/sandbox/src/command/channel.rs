//! The channel on which a suite's interpreter reports the beginning and the end of each test case.
//!
//! The supervisor forwards each line to the runner, together with what it measured. The interpreter waits for a byte of
//! answer, so that a case ends before the next one begins.

use std::io::{self, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, setsockopt, sockopt};
use nix::unistd::Pid;
use serde::Deserialize;

/// Longest line in bytes; a longer one is not of the runner's plugin and closes the channel.
const MAX_LINE: usize = 256 << 10;

/// The byte that lets the interpreter continue.
const ANSWER: &[u8] = b"k";

/// The supervisor's end.
pub(super) struct Channel {
    socket: UnixStream,
    buffer: Vec<u8>,
    /// Sender of the last message, by its number in this process's namespace.
    sender: Option<Pid>,
    closed: bool,
}

/// The fields of a line that matter to the supervisor.
#[derive(Debug, Deserialize)]
struct Fields {
    event: String,
    pid: Option<i32>,
    /// False for a case beside which others run: its memory cannot be measured.
    #[serde(default = "alone")]
    alone: bool,
}

fn alone() -> bool {
    true
}

/// A line of the channel.
pub(super) struct Message {
    pub(super) line: String,
    pub(super) kind: Kind,
}

/// Meaning of a line for the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A case begins.
    Start,
    /// The case has ended.
    End,
    /// The process of this number, or the sender, is one of the suite's own interpreters.
    Trust(Option<i32>),
    /// Anything else.
    Other,
}

impl Channel {
    /// Makes a channel; returns the supervisor's end and the program's end.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        // The kernel then names the sender of each message; the sender itself knows only its number in its own namespace.
        setsockopt(&ours, sockopt::PassCred, &true)?;
        Ok((Self { socket: ours, buffer: Vec::new(), sender: None, closed: false }, OwnedFd::from(theirs)))
    }

    /// Returns the descriptor to wait on; none if the channel is closed.
    pub(super) fn readable_fd(&self) -> Option<BorrowedFd<'_>> {
        (!self.closed).then(|| self.socket.as_fd())
    }

    /// Returns the sender of the last message.
    pub(super) fn sender(&self) -> Option<Pid> {
        self.sender
    }

    /// Takes the next whole line, if there is one.
    pub(super) fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]).into_owned();
                return Some(Message { kind: kind_of(&line), line });
            }
            if self.closed || self.buffer.len() > MAX_LINE || !self.receive() {
                self.closed |= self.buffer.len() > MAX_LINE;
                return None;
            }
        }
    }

    /// Lets the interpreter continue.
    pub(super) fn answer(&mut self) {
        // The write fails if the socket is full or has no reader: then nobody waits for the answer.
        self.socket.write_all(ANSWER).ok();
    }

    /// Reads what has arrived; returns whether that was anything.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 16 << 10];
        let mut space = nix::cmsg_space!(nix::sys::socket::UnixCredentials);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
        let count = match received {
            Ok(message) => {
                for control in message.cmsgs().into_iter().flatten() {
                    if let ControlMessageOwned::ScmCredentials(sender) = control {
                        self.sender = Some(Pid::from_raw(sender.pid())).filter(|pid| pid.as_raw() > 1);
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

fn kind_of(line: &str) -> Kind {
    let Ok(fields) = serde_json::from_str::<Fields>(line) else { return Kind::Other };
    match (fields.event.as_str(), fields.alone) {
        ("start", true) => Kind::Start,
        ("end", true) => Kind::End,
        ("trust", _) => Kind::Trust(fields.pid),
        _ => Kind::Other,
    }
}
