//! Owners and modes of a task's trees; and, without bubblewrap, a task's own IPC namespace and `/dev/shm` if the runner is
//! root.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::super::{Limits, SuiteView};
use super::mounts::{make_mounts_private, tmpfs_options};
use super::paths::SHARED;

/// Prepares the task's folders for the user that it runs as. Used without namespaces.
pub(super) fn make(view: &SuiteView, user: Option<u32>) -> io::Result<()> {
    let Some(uid) = user else { return make_read_only(&view.suite) };
    // System V and POSIX IPC objects, and their number, are shared by the whole machine otherwise. If a container forbids
    // the namespace, the objects are found by their user and removed at the end.
    unshare(CloneFlags::CLONE_NEWIPC).ok();
    // The folders of the checkout and of the task.
    for folder in view.source.ancestors().skip(1).take(2) {
        fs::set_permissions(folder, Permissions::from_mode(0o711))?;
    }
    keep_from(&view.suite)?;
    [&view.source, &view.home, &view.temp, &view.out].into_iter().try_for_each(|folder| give(folder, uid))
}

/// Mounts a `/dev/shm` of the task's own, as large as its disk: two tasks may use the same names of semaphores and shared
/// memory at the same time. Works for root only, and not in every container.
pub(super) fn own_shared(limits: &Limits) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    make_mounts_private()?;
    let options = tmpfs_options("mode=1777", limits);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("ostest"), SHARED, Some("tmpfs"), flags, Some(options.as_str()))?;
    Ok(())
}

/// Gives a tree to `uid`. No other process may use it yet.
pub(super) fn give(path: &Path, uid: u32) -> io::Result<()> {
    lchown(path, Some(uid), Some(uid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    Ok(())
}

/// Lets other users make new entries in a tree, but neither change nor replace existing ones: its folders become sticky.
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

/// Makes the files of a tree read-only. That prevents mistakes; the owner can undo it, which `command::tamper_watch` detects.
fn make_read_only(path: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            make_read_only(&entry?.path())?;
        }
    } else if meta.is_file() {
        fs::set_permissions(path, Permissions::from_mode(meta.permissions().mode() & 0o555))?;
    }
    Ok(())
}
