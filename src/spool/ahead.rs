//! What opening a spool would come to, without making, locking or writing anything: for who asks before the daemon does.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use super::files::{Folders, Place, at};
use super::{OpenError, lock};

/// Says of the state folder `state`, which is there, what [`super::Spool::open`] would say of the rights of this user, in
/// its words.
pub fn look_ahead(state: &Path) -> Result<(), OpenError> {
    let path = state.join(lock::FILE);
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    match OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            may(state, CHANGE).map_err(|error| at("open the lock file", &path, &error))?;
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
                may(above, CHANGE).map_err(failed)?;
            }
            Err(error) => return Err(failed(error).into()),
        }
    }
    let owner = folders.root().metadata().map(|meta| meta.uid());
    if owner.is_ok_and(|owner| owner != geteuid().as_raw() && !geteuid().is_root()) {
        return Err(at("close to other users", folders.root(), &Errno::EPERM.into()).into());
    }
    for folder in Place::ALL.map(|place| folders.folder(place)).iter().filter(|folder| folder.exists()) {
        may(folder, AccessFlags::R_OK | CHANGE).map_err(|error| at("list", folder, &error))?;
    }
    Ok(())
}

/// What making something in a folder takes.
const CHANGE: AccessFlags = AccessFlags::W_OK.union(AccessFlags::X_OK);

fn may(folder: &Path, rights: AccessFlags) -> io::Result<()> {
    access(folder, rights).map_err(io::Error::from)
}
