//! The kernel's side: the filter that hands calls over, and the descriptor on which they arrive.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use nix::unistd::Pid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompFilter, SeccompRule,
    sock_filter,
};

use super::super::filter::{condition, rule};
use super::handed_over::{HANDED_OVER, HIDING};

mod ioctl {
    use nix::libc::{seccomp_notif, seccomp_notif_resp};
    nix::ioctl_readwrite!(receive, b'!', 0, seccomp_notif);
    nix::ioctl_readwrite!(send, b'!', 1, seccomp_notif_resp);
    nix::ioctl_write_ptr!(is_valid, b'!', 2, u64);
    nix::ioctl_write_int_bad!(set_flags, nix::request_code_write!(b'!', 4, size_of::<u64>()));
    /// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`: caller and broker take turns on one processor.
    pub(super) const SYNC_WAKE_UP: i32 = 1;
}

/// Returns whether the kernel can hand calls over.
#[expect(unsafe_code, reason = "the call has no safe form")]
pub fn is_supported() -> bool {
    let action: u32 = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the call reads one number behind a valid pointer.
    let answer =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    answer == 0
}

/// Lets the kernel hand over the calls of this process, and of everything that it starts, to the process with the other end
/// of `to`.
pub(super) fn install(to: &UnixStream) -> io::Result<()> {
    let listener = listen(&program()?)?;
    let fds = [listener.as_raw_fd()];
    let sent = sendmsg::<UnixAddr>(
        to.as_raw_fd(),
        &[IoSlice::new(b"l")],
        &[ControlMessage::ScmRights(&fds)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    sent.map(drop).map_err(io::Error::from)
}

/// Makes the filter. seccompiler does not know this action, so it is put in the place of another one.
fn program() -> io::Result<BpfProgram> {
    let is = |argument, value| condition(argument, Len::Dword, Op::Eq, value);
    let mark = SeccompAction::Trace(1);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        HANDED_OVER.iter().map(|&call| (call, Vec::new())).collect();
    let (call, [kind, value]) = HIDING;
    rules.insert(call, vec![rule(vec![is(0, kind)?, is(1, value)?])?]);
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, mark, arch).map_err(io::Error::other)?;
    let mut program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    for line in &mut program {
        if u32::from(line.code) == libc::BPF_RET | libc::BPF_K && line.k == libc::SECCOMP_RET_TRACE | 1 {
            line.k = libc::SECCOMP_RET_USER_NOTIF;
        }
    }
    Ok(program)
}

/// Installs the filter; returns the descriptor on which calls arrive.
#[expect(unsafe_code, reason = "the call has no safe form")]
fn listen(program: &[sock_filter]) -> io::Result<OwnedFd> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // A signal must not interrupt a caller that waits: its call would be made twice. Linux before 5.19 does not know this
    // flag.
    let once = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let mut last = Errno::EINVAL;
    for flags in [once, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER] {
        // SAFETY: the structure names as many lines as there are, and the system copies them.
        let made = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
        };
        match i32::try_from(made).ok().filter(|made| *made >= 0) {
            // SAFETY: the system has just made it, for this process.
            Some(made) => return Ok(unsafe { OwnedFd::from_raw_fd(made) }),
            None => last = Errno::last(),
        }
    }
    Err(last.into())
}

/// The descriptor on which calls arrive.
pub(super) struct Listener(OwnedFd);

/// A call whose caller waits for the answer.
pub(super) struct Notice(libc::seccomp_notif);

impl Listener {
    /// Receives the listener that the program has made.
    #[expect(unsafe_code, reason = "the descriptor came with this message")]
    pub(super) fn receive(from: &UnixStream) -> io::Result<Self> {
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!(i32);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<UnixAddr>(from.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = control
                && let Some(&fd) = fds.first()
            {
                // Linux before 6.6 does not know this flag, and is slower.
                // SAFETY: the request takes a number.
                unsafe { ioctl::set_flags(fd, ioctl::SYNC_WAKE_UP) }.ok();
                // SAFETY: the system has just made it, for this process.
                return Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Returns the next call; none if its caller has ended.
    #[expect(unsafe_code, reason = "the structure is the system's to fill, and must be empty before")]
    pub(super) fn next(&self) -> Option<Notice> {
        // SAFETY: all of its fields are numbers.
        let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: it is of the size that the request names.
        unsafe { ioctl::receive(self.0.as_raw_fd(), &raw mut notice) }.ok()?;
        Some(Notice(notice))
    }

    /// Returns whether the caller still waits. If it does not, it may have ended, and another process may have its number.
    #[expect(unsafe_code, reason = "the call has no safe form")]
    pub(super) fn waits(&self, notice: &Notice) -> bool {
        // SAFETY: the request reads one number behind a valid pointer.
        unsafe { ioctl::is_valid(self.0.as_raw_fd(), &raw const notice.0.id) }.is_ok()
    }

    /// Sends the result of the call to the caller.
    pub(super) fn answer(&self, notice: &Notice, made: Result<(), Errno>) {
        self.send(notice, made.err().map_or(0, |error| -(error as i32)), 0);
    }

    /// Lets the caller make the call itself.
    pub(super) fn let_through(&self, notice: &Notice) {
        self.send(notice, 0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(0));
    }

    #[expect(unsafe_code, reason = "the call has no safe form")]
    fn send(&self, notice: &Notice, error: i32, flags: u32) {
        let mut answer = libc::seccomp_notif_resp { id: notice.0.id, val: 0, error, flags };
        // SAFETY: it is of the size that the request names. Who is gone needs no answer.
        unsafe { ioctl::send(self.0.as_raw_fd(), &raw mut answer) }.ok();
    }
}

impl Notice {
    /// Returns the thread that made the call.
    pub(super) fn caller(&self) -> Pid {
        Pid::from_raw(self.0.pid.cast_signed())
    }

    /// Returns the call's number.
    pub(super) fn call(&self) -> libc::c_long {
        libc::c_long::from(self.0.data.nr)
    }

    /// Returns an argument as a number of 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "as the system itself takes it")]
    pub(super) fn number(&self, argument: usize) -> i32 {
        self.0.data.args[argument] as i32
    }

    /// Returns an argument as a number of 32 bits without a sign.
    pub(super) fn bits(&self, argument: usize) -> u32 {
        self.number(argument).cast_unsigned()
    }

    /// Returns an argument as an address.
    pub(super) fn address(&self, argument: usize) -> u64 {
        self.0.data.args[argument]
    }
}
