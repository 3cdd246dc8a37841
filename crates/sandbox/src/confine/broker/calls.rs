//! System calls that the broker makes for the program: those by which an owner removes, moves or reopens existing files.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, RenameFlags, renameat2};
use nix::libc;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::caller::{Caller, path_to};
use super::handed_over::HIDING;
use super::listener::Notice;
use super::protected_files::ProtectedFiles;

/// Returns whether the call is [`HIDING`].
pub(super) fn hides(notice: &Notice) -> bool {
    notice.call() == HIDING.0
}

/// Makes the call of `notice` as `caller` would, unless it is about `protected` files.
pub(super) fn make(notice: &Notice, caller: &Caller, protected: &ProtectedFiles) -> Result<(), Errno> {
    let call = Call { caller, protected };
    let (number, bits, address) = (|at| notice.number(at), |at| notice.bits(at), |at| notice.address(at));
    let here = libc::AT_FDCWD;
    let follows = |flags: i32| flags & libc::AT_SYMLINK_NOFOLLOW == 0;
    match notice.call() {
        libc::SYS_chmod => call.mode(&caller.file(here, address(0), true)?, bits(1)),
        libc::SYS_fchmod => call.mode(&caller.descriptor(number(0))?, bits(1)),
        libc::SYS_fchmodat => call.mode(&caller.file(number(0), address(1), true)?, bits(2)),
        libc::SYS_fchmodat2 => call.mode(&call.at(number(0), address(1), number(3))?, bits(2)),
        libc::SYS_chown => call.owner(&caller.file(here, address(0), true)?, bits(1), bits(2)),
        libc::SYS_lchown => call.owner(&caller.file(here, address(0), false)?, bits(1), bits(2)),
        libc::SYS_fchown => call.owner(&caller.descriptor(number(0))?, bits(1), bits(2)),
        libc::SYS_fchownat => call.owner(&call.at(number(0), address(1), number(4))?, bits(2), bits(3)),
        libc::SYS_utime => call.times(&caller.file(here, address(0), true)?, call.seconds(address(1))?),
        libc::SYS_utimes => call.times(&caller.file(here, address(0), true)?, call.micros(address(1))?),
        libc::SYS_futimesat => {
            call.times(&call.or_itself(number(0), address(1), true)?, call.micros(address(2))?)
        }
        libc::SYS_utimensat if address(1) != 0 && number(3) & libc::AT_EMPTY_PATH != 0 => {
            call.times(&call.at(number(0), address(1), number(3))?, call.nanos(address(2))?)
        }
        libc::SYS_utimensat => {
            let file = call.or_itself(number(0), address(1), follows(number(3)))?;
            call.times(&file, call.nanos(address(2))?)
        }
        libc::SYS_unlink => call.remove(here, address(0), 0),
        libc::SYS_rmdir => call.remove(here, address(0), libc::AT_REMOVEDIR),
        libc::SYS_unlinkat => call.remove(number(0), address(1), number(2)),
        libc::SYS_rename => call.rename((here, address(0)), (here, address(1)), 0),
        libc::SYS_renameat => call.rename((number(0), address(1)), (number(2), address(3)), 0),
        libc::SYS_renameat2 => call.rename((number(0), address(1)), (number(2), address(3)), bits(4)),
        _ => Err(Errno::ENOSYS),
    }
}

struct Call<'a> {
    caller: &'a Caller,
    protected: &'a ProtectedFiles,
}

/// Times of the last access and change; none: now.
type Times = Option<(TimeSpec, TimeSpec)>;

impl Call<'_> {
    /// Opens the file of a path and its flags.
    fn at(&self, folder: i32, path: u64, flags: i32) -> Result<OwnedFd, Errno> {
        if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
            return Err(Errno::EINVAL);
        }
        let empty = flags & libc::AT_EMPTY_PATH != 0 && (path == 0 || self.caller.bytes::<1>(path)? == [0]);
        if empty && folder != libc::AT_FDCWD {
            return self.caller.descriptor(folder);
        }
        self.caller.file(folder, path, flags & libc::AT_SYMLINK_NOFOLLOW == 0)
    }

    /// Opens the file of a path; without a path, the file of the descriptor.
    fn or_itself(&self, folder: i32, path: u64, follow: bool) -> Result<OwnedFd, Errno> {
        if path == 0 { self.caller.descriptor(folder) } else { self.caller.file(folder, path, follow) }
    }

    fn mode(&self, file: &OwnedFd, mode: u32) -> Result<(), Errno> {
        self.protected.allow_attributes(file)?;
        if fstat(file)?.st_mode & libc::S_IFMT == libc::S_IFLNK {
            return Err(Errno::EOPNOTSUPP);
        }
        let mode = Mode::from_bits_truncate(mode);
        fchmodat(AT_FDCWD, &path_to(file), mode, FchmodatFlags::FollowSymlink)
    }

    fn owner(&self, file: &OwnedFd, user: u32, group: u32) -> Result<(), Errno> {
        self.protected.allow_attributes(file)?;
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        fchownat(file, "", user, group, AtFlags::AT_EMPTY_PATH)
    }

    #[expect(unsafe_code, reason = "of a file that is open, a link too, the call has no safe form")]
    fn times(&self, file: &OwnedFd, times: Times) -> Result<(), Errno> {
        self.protected.allow_attributes(file)?;
        let now = TimeSpec::new(0, libc::UTIME_NOW);
        let (accessed, changed) = times.unwrap_or((now, now));
        let times = [*accessed.as_ref(), *changed.as_ref()];
        // SAFETY: an empty name that ends, and two times.
        let done =
            unsafe { libc::utimensat(file.as_raw_fd(), c"".as_ptr(), times.as_ptr(), libc::AT_EMPTY_PATH) };
        Errno::result(done).map(drop)
    }

    fn remove(&self, folder: i32, path: u64, flags: i32) -> Result<(), Errno> {
        let flags = match flags {
            0 => UnlinkatFlags::NoRemoveDir,
            libc::AT_REMOVEDIR => UnlinkatFlags::RemoveDir,
            _ => return Err(Errno::EINVAL),
        };
        let place = self.caller.place(folder, path)?;
        self.protected.allow_entry(&place)?;
        unlinkat(&place.folder, &place.written, flags)
    }

    fn rename(&self, from: (i32, u64), to: (i32, u64), flags: u32) -> Result<(), Errno> {
        let flags = RenameFlags::from_bits(flags).ok_or(Errno::EINVAL)?;
        let (from, to) = (self.caller.place(from.0, from.1)?, self.caller.place(to.0, to.1)?);
        self.protected.allow_entry(&from)?;
        self.protected.allow_entry(&to)?;
        renameat2(&from.folder, &from.written, &to.folder, &to.written, flags)
    }

    /// Reads a `struct utimbuf`.
    fn seconds(&self, address: u64) -> Result<Times, Errno> {
        self.pair(
            address,
            |[accessed, changed, _, _]| (TimeSpec::new(accessed, 0), TimeSpec::new(changed, 0)),
            2,
        )
    }

    /// Reads two `struct timeval`.
    fn micros(&self, address: u64) -> Result<Times, Errno> {
        let one = |seconds, micros: i64| TimeSpec::new(seconds, micros.saturating_mul(1000));
        self.pair(address, |[a, b, c, d]| (one(a, b), one(c, d)), 4)
    }

    /// Reads two `struct timespec`.
    fn nanos(&self, address: u64) -> Result<Times, Errno> {
        self.pair(address, |[a, b, c, d]| (TimeSpec::new(a, b), TimeSpec::new(c, d)), 4)
    }

    /// Reads words of 64 bits at `address` and converts them by `mean`; none if the address is 0.
    fn pair(
        &self,
        address: u64,
        mean: impl Fn([i64; 4]) -> (TimeSpec, TimeSpec),
        words: usize,
    ) -> Result<Times, Errno> {
        if address == 0 {
            return Ok(None);
        }
        let mut found = [0; 4];
        for (at, word) in (0u64..).zip(found.iter_mut().take(words)) {
            let at = address.checked_add(8 * at).ok_or(Errno::EFAULT)?;
            *word = i64::from_ne_bytes(self.caller.bytes(at)?);
        }
        Ok(Some(mean(found)))
    }
}
