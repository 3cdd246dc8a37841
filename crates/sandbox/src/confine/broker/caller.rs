//! The caller of a system call: its memory, and the files and folders that its arguments name.

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

/// A thread that waits for its call.
pub(super) struct Caller {
    thread: Pid,
    memory: File,
}

/// Why a call cannot be made for its caller.
pub(super) enum Refused {
    /// The caller does not wait any more.
    Gone,
    /// The caller's memory cannot be read.
    Hidden,
}

impl Caller {
    pub(super) fn of(notice: &Notice, listener: &Listener) -> Result<Self, Refused> {
        let thread = notice.caller();
        let memory = File::open(format!("/proc/{thread}/mem"));
        // Checked after the file was opened: it is the caller's memory, not that of a process that got its number since.
        if !listener.waits(notice) {
            return Err(Refused::Gone);
        }
        memory.map(|memory| Self { thread, memory }).map_err(|_| Refused::Hidden)
    }

    /// Reads `COUNT` bytes at `address`.
    pub(super) fn bytes<const COUNT: usize>(&self, address: u64) -> Result<[u8; COUNT], Errno> {
        let mut bytes = [0; COUNT];
        self.memory.read_exact_at(&mut bytes, address).map_err(|_| Errno::EFAULT)?;
        Ok(bytes)
    }

    /// Reads the path at `address`, and translates it for this process.
    fn path(&self, address: u64) -> Result<PathBuf, Errno> {
        const MAX: usize = libc::PATH_MAX as usize;
        let (mut path, mut bytes) = (Vec::new(), [0; 256]);
        while path.len() < MAX {
            // The memory behind the end of the path may not exist: read up to a multiple of 256 at a time.
            let at = address.checked_add(path.len() as u64).ok_or(Errno::EFAULT)?;
            let wanted = bytes.len().min(MAX - path.len()).min(256 - usize::try_from(at % 256).unwrap_or(0));
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

    /// Replaces names by which a process means itself, such as `/proc/self`, by names of the caller.
    fn translated(&self, path: &Path) -> PathBuf {
        let below = |name: &str| path.strip_prefix(name).ok();
        let thread = self.thread;
        for (number, name) in ["/dev/stdin", "/dev/stdout", "/dev/stderr"].into_iter().enumerate() {
            if path == Path::new(name) {
                return PathBuf::from(format!("/proc/{thread}/fd/{number}"));
            }
        }
        if let Some(rest) = below("/proc/self").or_else(|| below("/proc/thread-self")) {
            Path::new(&format!("/proc/{thread}")).join(rest)
        } else if let Some(rest) = below("/dev/fd") {
            Path::new(&format!("/proc/{thread}/fd")).join(rest)
        } else {
            path.to_owned()
        }
    }

    /// Opens the folder at which a relative path of the caller begins; none for an absolute path.
    fn base(&self, folder: i32, path: &Path) -> Result<Option<OwnedFd>, Errno> {
        if path.is_absolute() {
            return Ok(None);
        }
        let entry = if folder == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{folder}") };
        let missing = |error| if folder == libc::AT_FDCWD { error } else { Errno::EBADF };
        open(
            Path::new(&format!("/proc/{}/{entry}", self.thread)),
            OFlag::O_PATH | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map(Some)
        .map_err(missing)
    }

    /// Opens `path` as the caller would, without the right to read or write.
    fn open(&self, folder: i32, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlag::O_PATH | OFlag::O_CLOEXEC;
        match self.base(folder, path)? {
            Some(base) => openat(base, path, flags, Mode::empty()),
            None => openat(AT_FDCWD, path, flags, Mode::empty()),
        }
    }

    /// Opens the file of the path at `address`.
    pub(super) fn file(&self, folder: i32, address: u64, follow: bool) -> Result<OwnedFd, Errno> {
        let path = self.path(address)?;
        if path.as_os_str().is_empty() {
            return Err(Errno::ENOENT);
        }
        self.open(folder, &path, if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW })
    }

    /// Opens the file of a descriptor.
    pub(super) fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        let number = u32::try_from(number).map_err(|_| Errno::EBADF)?;
        self.open(libc::AT_FDCWD, Path::new(&format!("/proc/{}/fd/{number}", self.thread)), OFlag::empty())
            .map_err(|_| Errno::EBADF)
    }

    /// Splits the path at `address` into its folder, which is opened, and its last name.
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

/// An entry of a folder, which may not exist.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    /// Name of the entry.
    pub(super) name: PathBuf,
    /// The name with trailing slashes, which require a folder.
    pub(super) written: PathBuf,
}

/// Returns a path of this process to an open file, which is valid whatever the file's name is now.
pub(super) fn path_to(file: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Returns the name of an open file.
pub(super) fn name_of(file: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(path_to(file))
}
