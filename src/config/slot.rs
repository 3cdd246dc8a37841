//! A state folder that several runners may be given, such as the containers of one service with one volume: where it
//! ends with `/{slot}`, each of them works in the first of `1`, `2`, `3`, … that no other one holds. As many runners as
//! before take up what those before them left, whatever they are called.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Stands for the number, as the last part of the path.
const PLACEHOLDER: &str = "{slot}";

/// What is locked in a slot as long as a runner has it. Not the spool's own lock, which says who works there, since the
/// choice is made before the spool is opened.
const FILE: &str = "slot.lock";

/// More runners than this do not share one folder.
const MOST: u32 = 1024;

/// The folder that is shared, where `state` names one.
pub fn shared(state: &Path) -> Option<&Path> {
    state.ends_with(PLACEHOLDER).then(|| state.parent()).flatten()
}

/// Takes the first slot below `shared` that is free. It is this process's own until the file is closed.
pub(super) fn take(shared: &Path) -> anyhow::Result<(PathBuf, File)> {
    for number in 1..=MOST {
        let folder = super::folder::make("--state-dir", &shared.join(number.to_string()))?;
        let path = folder.join(FILE);
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
    bail!("--state-dir {}/{PLACEHOLDER}: all of {MOST} slots are taken", shared.display())
}

/// Those that are there, in their order. A number without the file to lock is somebody else's, as in `/proc`.
pub fn numbers(shared: &Path) -> Vec<u32> {
    let entries = fs::read_dir(shared).into_iter().flatten().flatten();
    let slots = entries.filter(|entry| entry.path().join(FILE).symlink_metadata().is_ok());
    let mut all: Vec<u32> = slots.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    all.sort_unstable();
    all
}

/// For a command that looks at one state folder, and was given `state`, which stands for those below `shared`: which it
/// is has to be said.
pub(super) fn ask(state: &Path, shared: &Path) -> anyhow::Error {
    let there: Vec<String> = numbers(shared).iter().map(u32::to_string).collect();
    let (state, shared) = (state.display(), shared.display());
    match there.as_slice() {
        [] => anyhow::anyhow!("--state-dir {state}: no runner has worked there yet"),
        [first, ..] => anyhow::anyhow!(
            "--state-dir {state} is several folders ({}); name one: --state-dir {shared}/{first}",
            there.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_takes_the_first_that_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state/{slot}");
        let shared = shared(&state).unwrap();
        assert!(ask(&state, shared).to_string().ends_with("no runner has worked there yet"));
        let name = |taken: &(PathBuf, File)| taken.0.file_name().unwrap().to_owned();
        let first = take(shared).unwrap();
        let second = take(shared).unwrap();
        assert_eq!((name(&first), name(&second)), ("1".into(), "2".into()));
        drop(first);
        let third = take(shared).unwrap();
        assert_eq!((name(&third), name(&take(shared).unwrap())), ("1".into(), "3".into()));
        let said = ask(&state, shared).to_string();
        assert!(said.contains("(1, 2, 3)") && said.ends_with("state/1"), "{said}");
        fs::remove_file(shared.join("3").join(FILE)).unwrap();
        fs::create_dir(shared.join("3").join(FILE)).unwrap();
        let said = format!("{:#}", take(shared).unwrap_err());
        assert!(said.contains("3/slot.lock: Is a directory"), "{said}");
    }

    #[test]
    fn slot_number_is_whole_last_component() {
        for path in ["/s/{slot}/x", "/s/a{slot}", "/s"] {
            assert_eq!(shared(Path::new(path)), None, "{path}");
        }
    }
}
