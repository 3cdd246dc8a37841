//! Files and folders of control groups.

use std::fs;
use std::io;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Removes a group with the groups of its cases, if no process is in them.
pub(super) fn remove_empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir(entry.path()).ok();
        }
    }
    fs::remove_dir(folder)
}

/// Kills the processes in the group `folder` and in the groups below it.
pub(super) fn kill_all(folder: &Path) {
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_all(&entry.path());
        }
    }
    let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()).filter(|&pid: &i32| pid > 1) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    }
}

/// Removes a group. Waits up to 200 ms for processes that were just killed to leave it.
pub(super) fn remove(folder: &Path) {
    for _ in 0..100 {
        match remove_empty(folder) {
            Err(error) if error.raw_os_error() == Some(nix::libc::EBUSY) => {
                let mut nothing = [];
                nix::poll::poll(&mut nothing, nix::poll::PollTimeout::from(2u8)).ok();
            }
            _ => return,
        }
    }
}

/// Reads a file that holds one number.
pub(super) fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Reads the number after `key` from a file with a key and a number on each line.
pub(super) fn keyed(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}
