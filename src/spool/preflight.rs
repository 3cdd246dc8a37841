//! Checks whether the spool can be opened, without creating, locking or writing anything.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use super::files::{Folders, Place, at};
use super::lock;
use super::store::OpenError;

/// Checks that this user has the access rights that [`super::Spool::open`] needs. The state folder `state` must exist.
///
/// # Errors
///
/// The error that [`super::Spool::open`] would return.
pub fn preflight(state: &Path) -> Result<(), OpenError> {
    let path = state.join(lock::FILE);
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    match OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            check_access(state, CHANGE).map_err(|error| at("open the lock file", &path, &error))?;
        }
        opened => opened.map(drop).map_err(|error| at("open the lock file", &path, &error))?,
    }
    let folders = Folders::below(state);
    for place in Place::ALL {
        let folder = folders.folder(place);
        let failed = |error: io::Error| at("make the folder", &folder, &error);
        match folder.metadata() {
            Ok(meta) if !meta.is_dir() => return Err(failed(Errno::EEXIST.into()).into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = if folders.root().exists() { folders.root() } else { state };
                check_access(above, CHANGE).map_err(failed)?;
            }
            Err(error) => return Err(failed(error).into()),
        }
    }
    let owner = folders.root().metadata().map(|meta| meta.uid());
    if owner.is_ok_and(|owner| owner != geteuid().as_raw() && !geteuid().is_root()) {
        return Err(at("close to other users", folders.root(), &Errno::EPERM.into()).into());
    }
    for folder in Place::ALL.map(|place| folders.folder(place)).iter().filter(|folder| folder.exists()) {
        check_access(folder, AccessFlags::R_OK | CHANGE).map_err(|error| at("list", folder, &error))?;
    }
    Ok(())
}

/// The access rights for creating files in a folder.
const CHANGE: AccessFlags = AccessFlags::W_OK.union(AccessFlags::X_OK);

/// Fails if this user lacks one of `rights` on `folder`.
fn check_access(folder: &Path, rights: AccessFlags) -> io::Result<()> {
    access(folder, rights).map_err(io::Error::from)
}
