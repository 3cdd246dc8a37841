//! Removal of trees that hostile programs made.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;

/// Attempts to remove a tree into which a process still writes.
const ATTEMPTS: usize = 20;

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(25);

/// Removes a tree, also if its owner took his own access rights away, or if a process that is being killed still writes
/// into it. Blocks for half a second at the most while it waits for such a process.
///
/// # Errors
/// The system's error if something cannot be removed.
#[expect(
    clippy::disallowed_methods,
    reason = "the tree is all this thread has to do; there is no event to wait for"
)]
pub fn remove_tree(root: &Path) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match remove_any_depth(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !exists(root) => return Ok(()),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) =>
            {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
    remove_any_depth(root)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A folder that is open: `path` stays short, and leads to the folder even if the folder is renamed.
struct OpenFolder {
    path: PathBuf,
    _file: File,
}

impl OpenFolder {
    /// Opens a folder, never a link to one, and restores the access rights of its owner.
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let file = File::options().read(true).custom_flags(flags.bits()).open(path)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if fs::metadata(&path)?.permissions().mode() & 0o700 != 0o700 {
            fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        }
        Ok(Self { path, _file: file })
    }
}

/// Removes a tree of any depth with two open folders at a time: folders in a folder are moved up to the root first.
/// `fs::remove_dir_all` calls itself and holds a descriptor for each level; a few thousand levels overflow a thread's
/// stack, which ends the whole program.
fn remove_any_depth(root: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(root)?.is_dir() {
        return fs::remove_file(root);
    }
    let top = OpenFolder::open(root)?;
    loop {
        let mut empty = true;
        // Names of the last round are used again: a folder grows with each new name and never shrinks.
        let mut number = 0;
        for entry in fs::read_dir(&top.path)? {
            let entry = entry?;
            empty = false;
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
            } else if fs::remove_dir(entry.path()).is_err() {
                move_up(&entry.path(), &top, &mut number)?;
                fs::remove_dir(entry.path())?;
            }
        }
        if empty {
            return fs::remove_dir(root);
        }
    }
}

/// Removes the files in `folder` and moves the folders in it to `top`.
fn move_up(folder: &Path, top: &OpenFolder, number: &mut u64) -> io::Result<()> {
    let folder = OpenFolder::open(folder)?;
    for entry in fs::read_dir(&folder.path)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
        } else if fs::remove_dir(entry.path()).is_err() {
            // Moving a folder to another parent changes its `..`, so it must be writable.
            drop(OpenFolder::open(&entry.path())?);
            let target = loop {
                *number += 1;
                let target = top.path.join(format!("moved-{number}"));
                if !exists(&target) {
                    break target;
                }
            };
            fs::rename(entry.path(), target)?;
        }
    }
    Ok(())
}
