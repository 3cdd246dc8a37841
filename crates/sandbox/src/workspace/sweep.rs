//! Removal of folders that killed runs left.

use std::fs::{self, DirEntry, File};
use std::path::Path;
use std::time::Duration;

use super::folder::PREFIX;
use super::remove::remove_tree;

/// Removes the tasks' folders in `work_dir` that earlier runs left when they were killed. Keeps folders that are locked,
/// and those younger than `spared`: another process may be about to lock them.
pub fn sweep(work_dir: &Path, spared: Duration) {
    for entry in fs::read_dir(work_dir).into_iter().flatten().flatten() {
        let is_task = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_task || is_young(&entry, spared) {
            continue;
        }
        let folder = entry.path();
        // A folder without read permission can be opened by root only; nobody else uses it then.
        if File::open(&folder).is_ok_and(|file| file.try_lock().is_err()) {
            continue;
        }
        match remove_tree(&folder) {
            Ok(()) => {
                tracing::info!(name: "leftover_folder_removed", folder = %folder.display(), "removed a folder that an earlier run left");
            }
            Err(error) => {
                tracing::warn!(name: "leftover_folder_not_removed", folder = %folder.display(), %error, "cannot remove a folder that an earlier run left");
            }
        }
    }
}

fn is_young(entry: &DirEntry, spared: Duration) -> bool {
    let modified = entry.metadata().and_then(|meta| meta.modified()).ok();
    let age = modified.and_then(|modified| modified.elapsed().ok());
    !spared.is_zero() && age.is_none_or(|age| age < spared)
}
