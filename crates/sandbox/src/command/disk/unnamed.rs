//! Files without a name that are open: they take room until the last descriptor is closed.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use nix::sys::stat::fstat;
use nix::unistd::{Gid, Uid, getegid, geteuid, getpid, setfsgid, setfsuid};

use super::super::tree::{self, Process};
use super::walk::Walk;

/// Counts such files of all processes below this one. `user` is the user id of the processes, if it is not this one's. Open
/// files of a process that is not dumpable can be seen by root only, and in a container by nobody.
pub(super) fn count(walk: &mut Walk, user: Option<u32>) {
    let hidden: Vec<Process> =
        tree::below(getpid().as_raw()).into_iter().filter(|process| !count_of(process, walk)).collect();
    if let Some(user) = user.filter(|_| !hidden.is_empty()) {
        // Root in a container may not see the files of other users' processes, but their own user may.
        setfsgid(Gid::from_raw(user));
        setfsuid(Uid::from_raw(user));
        for process in &hidden {
            count_of(process, walk);
        }
        setfsuid(geteuid());
        setfsgid(getegid());
        // New credentials clear the death signal. If the runner dies meanwhile, its end of the socket is closed.
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).ok();
    }
}

/// Counts the open files of one process; returns whether all of them can be seen.
fn count_of(process: &Process, walk: &mut Walk) -> bool {
    let open = match fs::read_dir(format!("/proc/{}/fd", process.pid)) {
        Ok(open) => open,
        Err(error) => return error.kind() != ErrorKind::PermissionDenied,
    };
    let mut shown = true;
    for entry in open.flatten() {
        // Following the link leads to the open file, whatever its name was.
        let meta = match fs::metadata(entry.path()) {
            Ok(meta) => meta,
            Err(error) => {
                shown &= error.kind() != ErrorKind::PermissionDenied;
                continue;
            }
        };
        if meta.is_file() && meta.nlink() == 0 && Some(meta.dev()) != memory_device() {
            walk.add_unnamed((meta.dev(), meta.ino()), meta.blocks());
        }
    }
    shown
}

/// Returns the file system of files in memory, which never have a name and count as memory.
fn memory_device() -> Option<u64> {
    static FOUND: OnceLock<Option<u64>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let file = memfd_create(c"ostest-probe", MFdFlags::MFD_CLOEXEC).ok()?;
        fstat(&file).ok().map(|stat| stat.st_dev)
    })
}
