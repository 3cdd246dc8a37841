//! Names of files and folders that are being written. They are renamed when they are complete; the rest is removed later.

use std::fs;
use std::path::{Path, PathBuf};

/// Prefix of the names.
const PREFIX: &str = ".unfinished-";

/// The temporary name of `path`, in the same folder.
pub(super) fn path(path: &Path) -> PathBuf {
    beside(path, PREFIX, "")
}

/// `path` with `before` and `after` around its file name.
pub(super) fn beside(path: &Path, before: &str, after: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{before}{name}{after}"))
}

/// Removes all unfinished folders in `folder`, which a killed process left. The caller holds the lock of the folder.
pub(super) fn remove_all(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let unfinished = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    for entry in entries.flatten().filter(unfinished) {
        let _ = fs::remove_dir_all(entry.path());
    }
}
