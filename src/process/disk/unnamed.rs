//! Files that have no name any more, but are open: their room is taken until the last descriptor is closed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::fstat;
use nix::unistd::getpid;

use super::super::tree;
use super::walk::Walk;

/// Counts those of all processes below this one. What a process that is not dumpable has open is not shown to this user.
pub(super) fn weigh(walk: &mut Walk) {
    for process in tree::below(getpid().as_raw()) {
        let open = fs::read_dir(format!("/proc/{}/fd", process.pid)).into_iter().flatten().flatten();
        for entry in open {
            // Followed: what is open itself, whatever its name was.
            let Ok(meta) = fs::metadata(entry.path()) else { continue };
            if meta.is_file() && meta.nlink() == 0 && Some(meta.dev()) != memory() {
                walk.add_unnamed((meta.dev(), meta.ino()), meta.blocks());
            }
        }
    }
}

/// The filesystem of files in memory, which have never a name, and are counted as memory.
fn memory() -> Option<u64> {
    static FOUND: OnceLock<Option<u64>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let file = memfd_create(c"ostest-probe", MFdFlags::MFD_CLOEXEC).ok()?;
        fstat(&file).ok().map(|stat| stat.st_dev)
    })
}
