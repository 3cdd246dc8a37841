//! Who made a call: its memory, and the files and folders that it means.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

use super::listener::{Listener, Notice};

/// A thread that waits for its call to be made.
pub(super) struct Caller {
    thread: Pid,
    memory: File,
}

/// Why its call cannot be made for it.
pub(super) enum Refused {
    /// It does not wait any more.
    Gone,
    /// It is nobody's to look into.
    Hidden,
}

impl Caller {
    pub(super) fn of(notice: &Notice, listener: &Listener) -> Result<Self, Refused> {
        let thread = notice.caller();
        let memory = File::open(format!("/proc/{thread}/mem"));
        // Asked after it was opened: it is the caller's, not that of one who has its number now.
        if !listener.waits(notice) {
            return Err(Refused::Gone);
        }
        memory.map(|memory| Self { thread, memory }).map_err(|_| Refused::Hidden)
    }

    /// So many bytes at `address`.
    pub(super) fn bytes<const COUNT: usize>(&self, address: u64) -> Result<[u8; COUNT], Errno> {
        let mut bytes = [0; COUNT];
        self.memory.read_exact_at(&mut bytes, address).map_err(|_| Errno::EFAULT)?;
        Ok(bytes)
    }

    /// The path at `address`, as this process would write it.
    fn path(&self, address: u64) -> Result<PathBuf, Errno> {
        const MOST: usize = libc::PATH_MAX as usize;
        let (mut path, mut bytes) = (Vec::new(), [0; 256]);
        while path.len() < MOST {
            // What lies behind the end of the path need not be there.
            let at = address.checked_add(path.len() as u64).ok_or(Errno::EFAULT)?;
            let wanted = bytes.len().min(MOST - path.len()).min(256 - usize::try_from(at % 256).unwrap_or(0));
            let count = self.memory.read_at(&mut bytes[..wanted], at).map_err(|_| Errno::EFAULT)?;
            let read = bytes.get(..count).filter(|read| !read.is_empty()).ok_or(Errno::EFAULT)?;
            if let Some(end) = read.iter().position(|&byte| byte == 0) {
                path.extend_from_slice(&read[..end]);
                return Ok(self.translated(Path::new(OsStr::from_bytes(&path))));
            }
            path.extend_from_slice(read);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// What it calls itself is not itself here.
    fn translated(&self, path: &Path) -> PathBuf {
        let own = |name: &str| path.strip_prefix(name).ok();
        let thread = self.thread;
        for (number, name) in ["/dev/stdin", "/dev/stdout", "/dev/stderr"].into_iter().enumerate() {
            if path == Path::new(name) {
                return PathBuf::from(format!("/proc/{thread}/fd/{number}"));
            }
        }
        if let Some(rest) = own("/proc/self").or_else(|| own("/proc/thread-self")) {
            Path::new(&format!("/proc/{thread}")).join(rest)
        } else if let Some(rest) = own("/dev/fd") {
            Path::new(&format!("/proc/{thread}/fd")).join(rest)
        } else {
            path.to_owned()
        }
    }

    /// Where a relative path begins for it.
    fn base(&self, folder: i32, path: &Path) -> Result<Option<OwnedFd>, Errno> {
        if path.is_absolute() {
            return Ok(None);
        }
        let own = if folder == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{folder}") };
        let gone = |error| if folder == libc::AT_FDCWD { error } else { Errno::EBADF };
        open(
            Path::new(&format!("/proc/{}/{own}", self.thread)),
            OFlag::O_PATH | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map(Some)
        .map_err(gone)
    }

    fn open(&self, folder: i32, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlag::O_PATH | OFlag::O_CLOEXEC;
        match self.base(folder, path)? {
            Some(base) => openat(base, path, flags, Mode::empty()),
            None => openat(AT_FDCWD, path, flags, Mode::empty()),
        }
    }

    /// The file that the path at `address` leads to.
    pub(super) fn file(&self, folder: i32, address: u64, follow: bool) -> Result<OwnedFd, Errno> {
        let path = self.path(address)?;
        if path.as_os_str().is_empty() {
            return Err(Errno::ENOENT);
        }
        self.open(folder, &path, if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW })
    }

    /// The file behind a descriptor.
    pub(super) fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        let number = u32::try_from(number).map_err(|_| Errno::EBADF)?;
        self.open(libc::AT_FDCWD, Path::new(&format!("/proc/{}/fd/{number}", self.thread)), OFlag::empty())
            .map_err(|_| Errno::EBADF)
    }

    /// The name that the path at `address` ends in, and the folder that it is in.
    pub(super) fn place(&self, folder: i32, address: u64) -> Result<Place, Errno> {
        let path = self.path(address)?;
        let bytes = path.as_os_str().as_bytes();
        let end = bytes.iter().rposition(|&byte| byte != b'/');
        let Some(end) = end else {
            return Err(if bytes.is_empty() { Errno::ENOENT } else { Errno::EBUSY });
        };
        let begin = bytes[..=end].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let parent = if begin == 0 { b".".as_slice() } else { &bytes[..begin] };
        let parent = Path::new(OsStr::from_bytes(parent));
        let name = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
        Ok(Place {
            folder: self.open(folder, parent, OFlag::O_DIRECTORY)?,
            name: name(&bytes[begin..=end]),
            written: name(&bytes[begin..]),
        })
    }
}

/// An entry of a folder, there or not.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    /// Its name.
    pub(super) name: PathBuf,
    /// The same with the slashes behind it, which ask for a folder.
    pub(super) written: PathBuf,
}

/// This process's own path to a file that is open here, whatever has become of its name.
pub(super) fn path_to(file: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where a file that is open here lies.
pub(super) fn name_of(file: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(path_to(file))
}
