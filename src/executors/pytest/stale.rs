//! What earlier commits of the suite have left: a tree, or an environment of some hundred megabytes, goes when nothing
//! has used it for a week. Going back to a commit within that time costs nothing.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sandbox::workspace::remove_tree;

/// How long what is not used stays.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How old the note of the last use may be.
const NOTED: Duration = Duration::from_secs(24 * 3600);

/// How names begin of what is being removed: half of a folder must never be taken for a whole one.
const GOING: &str = ".old-";

/// Notes that the folder `used` is in use, by its time of change. Other runners on the same state folder see that too.
pub(super) fn note_use(used: &Path) {
    if age(used).is_some_and(|age| age > NOTED) {
        // Where that fails it is made anew at the worst.
        File::open(used).and_then(|folder| folder.set_modified(SystemTime::now())).ok();
    }
}

/// Removes the folders in `folder` that have not been used for long; `used` is in use. Blocks.
pub(super) fn remove_old(folder: &Path, used: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) || path == used {
            continue;
        }
        let removed = if name.starts_with(GOING) {
            remove_tree(&path)
        } else if !name.starts_with('.') && age(&path).is_some_and(|age| age > KEPT) {
            tracing::info!(name: "stale_suite_removed", folder = %path.display(), "of an earlier commit of the suite, not used for a week: removed");
            remove_whole(&path, &folder.join(format!("{GOING}{name}")))
        } else {
            Ok(())
        };
        if let Err(error) = removed {
            tracing::warn!(name: "stale_suite_not_removed", folder = %path.display(), %error, "what an earlier commit of the suite has left cannot be removed");
        }
    }
}

fn remove_whole(path: &Path, going: &Path) -> io::Result<()> {
    fs::rename(path, going)?;
    remove_tree(going)
}

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
    fn what_nothing_has_used_for_a_week_goes() {
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
        assert!(age(&used).unwrap() > KEPT, "it is kept by its name");
    }

    #[test]
    fn a_use_is_noted_once_a_day() {
        let work = tempfile::tempdir().unwrap();
        let (today, before) = (folder(work.path(), "today", 0), folder(work.path(), "before", 3));
        let at = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let first = at(&today);
        note_use(&today);
        note_use(&before);
        assert_eq!(at(&today), first);
        assert!(age(&before).unwrap() < NOTED);
    }
}
