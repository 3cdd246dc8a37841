//! Files that have no name any more, but are open: their room is taken until the last descriptor is closed.

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

/// Counts those of all processes below this one, which run as `user`, if that is another one. What a process that is not
/// dumpable has open is shown to nobody but root, and in a container not even to him.
pub(super) fn weigh(walk: &mut Walk, user: Option<u32>) {
    let hidden: Vec<Process> =
        tree::below(getpid().as_raw()).into_iter().filter(|process| !look_into(process, walk)).collect();
    if let Some(user) = user.filter(|_| !hidden.is_empty()) {
        // Root in a container may not look into others' processes, but their own user may.
        setfsgid(Gid::from_raw(user));
        setfsuid(Uid::from_raw(user));
        for process in &hidden {
            look_into(process, walk);
        }
        setfsuid(geteuid());
        setfsgid(getegid());
        // New credentials take it away. Should the runner have died just now, its end of the socket says so.
        nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).ok();
    }
}

/// Counts what one process has open; whether that is shown.
fn look_into(process: &Process, walk: &mut Walk) -> bool {
    let open = match fs::read_dir(format!("/proc/{}/fd", process.pid)) {
        Ok(open) => open,
        Err(error) => return error.kind() != ErrorKind::PermissionDenied,
    };
    let mut shown = true;
    for entry in open.flatten() {
        // Followed: what is open itself, whatever its name was.
        let meta = match fs::metadata(entry.path()) {
            Ok(meta) => meta,
            Err(error) => {
                shown &= error.kind() != ErrorKind::PermissionDenied;
                continue;
            }
        };
        if meta.is_file() && meta.nlink() == 0 && Some(meta.dev()) != memory() {
            walk.add_unnamed((meta.dev(), meta.ino()), meta.blocks());
        }
    }
    shown
}

/// The filesystem of files in memory, which never have a name, and are counted as memory.
fn memory() -> Option<u64> {
    static FOUND: OnceLock<Option<u64>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let file = memfd_create(c"ostest-probe", MFdFlags::MFD_CLOEXEC).ok()?;
        fstat(&file).ok().map(|stat| stat.st_dev)
    })
}
