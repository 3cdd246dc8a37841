//! A state folder that several runners share, such as the containers of a service with one volume.
//!
//! If `--state-dir` ends with `/{slot}`, each runner works in the first of the folders `1`, `2`, `3`, … that no other
//! runner has locked. After a restart the same number of runners works in the same folders, whatever their names.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Placeholder for the number, as the last part of the path.
const PLACEHOLDER: &str = "{slot}";

/// The file that a runner locks in its slot. It is not the spool's lock, because the slot is chosen before the spool is
/// opened.
const LOCK_FILE: &str = "slot.lock";

/// Largest number of runners that share a folder.
const MAX_SLOTS: u32 = 1024;

/// The shared folder, if `state` ends with the placeholder.
pub fn shared(state: &Path) -> Option<&Path> {
    state.ends_with(PLACEHOLDER).then(|| state.parent()).flatten()
}

/// Takes the first free slot in `shared`; returns its folder and its lock. The slot is free again when the file is closed.
pub(super) fn take(shared: &Path) -> anyhow::Result<(PathBuf, File)> {
    for number in 1..=MAX_SLOTS {
        let folder = super::folder::make("--state-dir", &shared.join(number.to_string()))?;
        let path = folder.join(LOCK_FILE);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(&path)
            .with_context(|| format!("--state-dir: {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok((folder, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                bail!("--state-dir: {} cannot be locked: {error}", path.display())
            }
        }
    }
    bail!("--state-dir {}/{PLACEHOLDER}: all {MAX_SLOTS} slots are taken", shared.display())
}

/// The existing slots in `shared`, sorted. A number without a lock file is not a slot, for example in `/proc`.
pub fn numbers(shared: &Path) -> Vec<u32> {
    let entries = fs::read_dir(shared).into_iter().flatten().flatten();
    let slots = entries.filter(|entry| entry.path().join(LOCK_FILE).symlink_metadata().is_ok());
    let mut all: Vec<u32> = slots.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    all.sort_unstable();
    all
}

/// The error of a subcommand that needs one state folder, if `state` stands for all slots in `shared`.
pub(super) fn not_named(state: &Path, shared: &Path) -> anyhow::Error {
    let slots: Vec<String> = numbers(shared).iter().map(u32::to_string).collect();
    let (state, shared) = (state.display(), shared.display());
    match slots.as_slice() {
        [] => anyhow::anyhow!("--state-dir {state}: no runner has worked there yet"),
        [first, ..] => anyhow::anyhow!(
            "--state-dir {state} is several folders ({}); name one: --state-dir {shared}/{first}",
            slots.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_free_slot() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state/{slot}");
        let shared = shared(&state).unwrap();
        assert!(not_named(&state, shared).to_string().ends_with("no runner has worked there yet"));
        let name = |taken: &(PathBuf, File)| taken.0.file_name().unwrap().to_owned();
        let first = take(shared).unwrap();
        let second = take(shared).unwrap();
        assert_eq!((name(&first), name(&second)), ("1".into(), "2".into()));
        drop(first);
        let third = take(shared).unwrap();
        assert_eq!((name(&third), name(&take(shared).unwrap())), ("1".into(), "3".into()));
        let error = not_named(&state, shared).to_string();
        assert!(error.contains("(1, 2, 3)") && error.ends_with("state/1"), "{error}");
        fs::remove_file(shared.join("3").join(LOCK_FILE)).unwrap();
        fs::create_dir(shared.join("3").join(LOCK_FILE)).unwrap();
        let error = format!("{:#}", take(shared).unwrap_err());
        assert!(error.contains("3/slot.lock: Is a directory"), "{error}");
    }

    #[test]
    fn placeholder_is_the_whole_last_part() {
        for path in ["/s/{slot}/x", "/s/a{slot}", "/s"] {
            assert_eq!(shared(Path::new(path)), None, "{path}");
        }
    }
}
