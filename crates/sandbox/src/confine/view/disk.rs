//! The disk of a task: one tmpfs, so that one number limits everything that the task writes.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::super::{Plan, SuiteView};
use super::etc;
use super::mounts::{bind, link_tree, own_mounts, tmpfs_options};
use super::owners::{give, keep_from};
use super::paths::{TERMINALS, visible};
use crate::errno::in_context;
use crate::workspace::copy_tree;

/// Folders of a task's disk, without the suite's copy.
const FOLDERS: &[&str] = &["src", "home", "temp", "out", "tmp", "vartmp", "shm"];

/// Pseudo-terminals of a task. The kernel has some 3,000 for the whole machine.
const MAX_TERMINALS: u32 = 64;

/// Message if the disk cannot hold the checkout and the suite.
const TOO_SMALL: &str = "checkout and suite do not fit into the task's disk";

/// Mounts the task's disk and makes everything on it, except for the program under test.
pub(super) fn make(view: &SuiteView, plan: &Plan) -> io::Result<()> {
    // Without the errno: ENOSPC means here that namespaces are used up, not that a disk is full.
    own_mounts().map_err(|error| io::Error::other(format!("a mount namespace: {error}")))?;
    let disk = &view.mountpoint;
    let options = tmpfs_options("mode=0755", &plan.limits);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("ostest"), disk, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(|error| in_context("a disk of its own", &error.into()))?;
    for folder in FOLDERS {
        fs::create_dir(disk.join(folder))?;
    }
    for folder in ["tmp", "vartmp", "shm"] {
        fs::set_permissions(disk.join(folder), Permissions::from_mode(0o1777))?;
    }
    terminals(disk).map_err(|error| in_context("pseudo-terminals", &error))?;
    if let Some(uid) = plan.user {
        copy_tree(&view.tree, &disk.join("suite")).map_err(too_small)?;
        keep_from(&disk.join("suite"))?;
        for folder in FOLDERS.iter().filter(|name| **name != "src") {
            give(&disk.join(folder), uid)?;
        }
    } else {
        link_tree(&view.tree, &disk.join("suite"))?;
    }
    for (number, folder) in visible(view).enumerate() {
        let point = disk.join("ro").join(number.to_string());
        fs::create_dir_all(&point)?;
        bind(folder, &point)?;
    }
    etc::make(view, plan)
}

/// Mounts pseudo-terminals of the task's own, limited in number: bubblewrap's are limited by the machine only.
fn terminals(disk: &Path) -> io::Result<()> {
    let point = disk.join(TERMINALS);
    fs::create_dir(&point)?;
    let options = format!("newinstance,ptmxmode=0666,mode=0620,max={MAX_TERMINALS}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("devpts"), &point, Some("devpts"), flags, Some(options.as_str()))?;
    Ok(())
}

/// Explains the error of a copy onto a task's disk that is full.
pub(super) fn too_small(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        // Without the errno: the limit is too low, the machine's disk is not full.
        Some(nix::libc::ENOSPC) => io::Error::other(TOO_SMALL),
        _ => error,
    }
}
