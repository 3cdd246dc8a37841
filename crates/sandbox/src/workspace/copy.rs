//! Copies of trees, and the size of folders.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Copies a folder with its modes and symbolic links to `to`, which must not exist. Leaves out what is neither a file, a
/// folder nor a symbolic link.
///
/// # Errors
/// The system's error if something cannot be read or written; the part that was copied stays.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fill_tree(from, to)
}

/// Copies the content of a folder as [`copy_tree`] does, into a folder that exists and is empty.
///
/// # Errors
/// As [`copy_tree`].
pub fn fill_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    // Last: nothing can be written into a folder that is read-only.
    fs::set_permissions(to, Permissions::from_mode(fs::metadata(from)?.permissions().mode() | 0o700))
}

/// Returns the sum of the lengths of the entries in `folder`, in bytes, without what is in folders below. An entry that
/// cannot be read counts nothing.
pub fn files_size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}
