//! Owners and modes: whose a task's trees are, and, without bubblewrap, what of the kernel's shared things a task of root's has to
//! itself.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::super::{Limits, SuiteView};
use super::{SHARED, not_told_to_others};

/// Without namespaces: the task's own folders for the user that it runs as.
pub(super) fn make(view: &SuiteView, user: Option<u32>) -> io::Result<()> {
    let Some(uid) = user else { return close(&view.suite) };
    // Names and numbers of System V and POSIX queues are the machine's, and so is how many there may be. Where a container
    // forbids it they stay that, and are found by their user at the end.
    unshare(CloneFlags::CLONE_NEWIPC).ok();
    // The checkout's folder, and the task's.
    for folder in view.source.ancestors().skip(1).take(2) {
        fs::set_permissions(folder, Permissions::from_mode(0o711))?;
    }
    keep_from(&view.suite)?;
    [&view.source, &view.home, &view.temp, &view.out].into_iter().try_for_each(|folder| give(folder, uid))
}

/// A `/dev/shm` of the task's own, as large as its disk: names of semaphores and of shared memory that two tasks use at
/// the same time must not meet. Only root may have one here, and not in every container.
pub(super) fn own_shared(limits: &Limits) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    not_told_to_others()?;
    let mut options = "mode=1777".to_owned();
    if let (Some(bytes), Some(files)) = (limits.disk.0, limits.files()) {
        options = format!("{options},size={bytes},nr_inodes={files}");
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("ostest"), SHARED, Some("tmpfs"), flags, Some(options.as_str()))?;
    Ok(())
}

/// Gives a tree to `uid`. Nobody else works in it yet.
pub(super) fn give(path: &Path, uid: u32) -> io::Result<()> {
    lchown(path, Some(uid), Some(uid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    Ok(())
}

/// Lets others make new entries in a tree, but neither change nor replace what is there: sticky folders.
pub(super) fn keep_from(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        fs::set_permissions(path, Permissions::from_mode(0o1777))?;
        for entry in fs::read_dir(path)? {
            keep_from(&entry?.path())?;
        }
    } else if meta.is_file() {
        fs::set_permissions(path, Permissions::from_mode(0o444 | meta.permissions().mode() & 0o755))?;
    }
    Ok(())
}

/// Takes the right to write to the files of a tree away from their owner: against mistakes, since he can take it back.
/// Whoever does that on purpose is met by `process::seal`.
fn close(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            close(&entry?.path())?;
        }
    } else if meta.is_file() {
        fs::set_permissions(path, Permissions::from_mode(meta.permissions().mode() & 0o555))?;
    }
    Ok(())
}
