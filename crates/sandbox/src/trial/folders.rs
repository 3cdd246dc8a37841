//! Folders that trials and tasks need where the runner is root.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::context::TrialContext;
use crate::errno;

/// Folder in the shared one on which tasks' disks are mounted.
pub(super) const MOUNTPOINT: &str = "mountpoint";

/// Makes the folder that all runners of a host share where they are root: everybody can pass through it, only root writes.
pub(super) fn shared_folder() -> io::Result<PathBuf> {
    // $RUNTIME_DIRECTORY comes second: two services have two of them, and would lend the same users twice.
    let runtime = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute());
    let below = |top| Path::new(top).join("ostest-runner");
    let candidates = [below("/run")].into_iter().chain(runtime).chain(["/var/tmp", "/tmp"].map(below));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in candidates {
        match make_shared(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) => last = errno::in_context(folder.display(), &error),
        }
    }
    Err(last)
}

fn make_shared(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder.join(MOUNTPOINT))?;
    for made in [folder.to_owned(), folder.join(MOUNTPOINT)] {
        let meta = fs::symlink_metadata(&made)?;
        if !meta.is_dir() || meta.uid() != 0 {
            return Err(io::Error::other("it is not a folder of root"));
        }
        fs::set_permissions(&made, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Lets tasks of other users pass through the state folder to their own folders, and closes everything else in it. Needed
/// without namespaces only.
pub(super) fn close_state(context: &TrialContext<'_>) -> io::Result<()> {
    for open in [context.state, context.work] {
        fs::set_permissions(open, Permissions::from_mode(0o711))?;
    }
    // The runner copies what a task needs of these.
    for closed in ["spool", "kept", "repositories", "suite"].map(|name| context.state.join(name)) {
        DirBuilder::new().recursive(true).mode(0o700).create(&closed)?;
        fs::set_permissions(&closed, Permissions::from_mode(0o700))?;
    }
    Ok(())
}
