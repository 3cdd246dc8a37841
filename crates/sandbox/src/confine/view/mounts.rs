//! Mount namespaces and mounts.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getegid, geteuid};

use super::super::Limits;
use crate::errno::in_context;

/// Inotify instances that a task and its supervisor have together. A user usually has 128.
const MAX_WATCHERS: u32 = 8;

/// Gives this process a mount namespace of its own. Without root a user namespace gives the right to do that.
pub(super) fn own_mounts() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        unshare(CloneFlags::CLONE_NEWNS)?;
    } else {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUSER)?;
        // A process that is not dumpable cannot write its own maps.
        nix::sys::prctl::set_dumpable(true)?;
        let maps = fs::write("/proc/self/setgroups", "deny")
            .and_then(|()| fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")))
            .and_then(|()| fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")));
        nix::sys::prctl::set_dumpable(false)?;
        maps?;
        limit_watches();
    }
    make_mounts_private()
}

/// Limits the inotify instances and watches of this user namespace, so that tasks of the same user, and their supervisors,
/// have enough. The kernel counts a namespace's use in those above it too. A container may not allow these files to be
/// written; then nothing is limited.
fn limit_watches() {
    let all = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok();
    let all = all.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(8_192);
    fs::write("/proc/sys/user/max_inotify_instances", MAX_WATCHERS.to_string()).ok();
    fs::write("/proc/sys/user/max_inotify_watches", (all / 4).to_string()).ok();
}

/// Keeps mounts that are made from here on from being propagated to other namespaces.
pub(super) fn make_mounts_private() -> io::Result<()> {
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(None::<&str>, "/", None::<&str>, slave, None::<&str>)?;
    Ok(())
}

/// Returns the options of a tmpfs that holds what `limits` allow.
pub(super) fn tmpfs_options(mode: &str, limits: &Limits) -> String {
    match (limits.disk.0, limits.files()) {
        (Some(bytes), Some(files)) => format!("{mode},size={bytes},nr_inodes={files}"),
        _ => mode.to_owned(),
    }
}

/// Mounts `from` on `to` as well.
pub(super) fn bind(from: &Path, to: &Path) -> io::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|error| in_context(from.display(), &error.into()))
}

/// Makes a copy of a tree in which each file is a read-only mount of the original. Each folder is a mount as well, since a
/// mount cannot be renamed or removed.
pub(super) fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    bind(to, to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, source, target) = (entry.file_type()?, entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            link_tree(&source, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::File::create(&target)?;
            bind(&source, &target)?;
            make_read_only(&target)?;
        }
    }
    Ok(())
}

fn make_read_only(mounted: &Path) -> io::Result<()> {
    // The flags of the original mount must stay, or the kernel refuses.
    let held = statvfs(mounted)?.flags();
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    for (has, flag) in [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if held.contains(has) {
            flags |= flag;
        }
    }
    mount(None::<&str>, mounted, None::<&str>, flags, None::<&str>)?;
    Ok(())
}
