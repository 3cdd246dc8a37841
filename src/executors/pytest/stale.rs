//! Removes trees and environments of earlier commits of the suite that nothing has used for a week. An environment can
//! take some hundred megabytes. Going back to a commit within that week costs nothing.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sandbox::workspace::remove_tree;

/// How long an unused folder stays.
const MAX_UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Time between two notes of the use of a folder.
const NOTE_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Prefix of the name of a folder that is being removed, so that nobody uses a half-removed folder.
const REMOVING: &str = ".old-";

/// Notes that the folder `used` is in use, in its modification time. Other runners on the same state folder see it too.
pub(super) fn note_use(used: &Path) {
    if age(used).is_some_and(|age| age > NOTE_INTERVAL) {
        // If this fails, the folder is created again in the worst case.
        File::open(used).and_then(|folder| folder.set_modified(SystemTime::now())).ok();
    }
}

/// Removes the folders in `folder` that nothing has used for a week, except `used`. Blocks.
pub(super) fn remove_old(folder: &Path, used: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || path == used {
            continue;
        }
        let removed = if name.starts_with(REMOVING) {
            remove_tree(&path)
        } else if !name.starts_with('.') && age(&path).is_some_and(|age| age > MAX_UNUSED) {
            tracing::info!(name: "stale_suite_removed", folder = %path.display(), "removing a folder of an earlier commit of the suite: nothing has used it for a week");
            rename_and_remove(&path, &folder.join(format!("{REMOVING}{name}")))
        } else {
            Ok(())
        };
        if let Err(error) = removed {
            tracing::warn!(name: "stale_suite_not_removed", folder = %path.display(), %error, "cannot remove a folder of an earlier commit of the suite");
        }
    }
}

/// Renames `path` to `removing` and removes it.
fn rename_and_remove(path: &Path, removing: &Path) -> io::Result<()> {
    fs::rename(path, removing)?;
    remove_tree(removing)
}

/// The time since the last modification.
fn age(path: &Path) -> Option<Duration> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()?.elapsed().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(parent: &Path, name: &str, days: u64) -> std::path::PathBuf {
        let path = parent.join(name);
        fs::create_dir_all(path.join("inner")).unwrap();
        fs::write(path.join("inner/file"), "x").unwrap();
        let time = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        File::open(&path).unwrap().set_modified(time).unwrap();
        path
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn removes_folders_unused_for_a_week() {
        let work = tempfile::tempdir().unwrap();
        let used = folder(work.path(), "used", 30);
        for (name, days) in
            [("old", 8), ("fresh", 6), (".unfinished-a", 30), (".old-half", 0), ("old-but-noted", 9)]
        {
            folder(work.path(), name, days);
        }
        fs::write(work.path().join("file.lock"), "").unwrap();
        note_use(&work.path().join("old-but-noted"));
        remove_old(work.path(), &used);
        assert_eq!(names(work.path()), [".unfinished-a", "file.lock", "fresh", "old-but-noted", "used"]);
        assert!(age(&used).unwrap() > MAX_UNUSED, "the used folder stays whatever its age");
    }

    #[test]
    fn notes_use_once_a_day() {
        let work = tempfile::tempdir().unwrap();
        let (today, before) = (folder(work.path(), "today", 0), folder(work.path(), "before", 3));
        let at = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let first = at(&today);
        note_use(&today);
        note_use(&before);
        assert_eq!(at(&today), first);
        assert!(age(&before).unwrap() < NOTE_INTERVAL);
    }
}
