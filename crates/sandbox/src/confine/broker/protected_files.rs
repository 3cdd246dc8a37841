//! Files that the broker protects.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;
use nix::sys::stat::fstat;

use super::caller::{Place, name_of};

/// Identity of a file: device and inode.
type Identity = (u64, u64);

/// A suite's own files and folders, and everything outside the program's writable folders.
pub(super) struct ProtectedFiles {
    /// Files whose modes, times and owners must not change.
    files: HashSet<Identity>,
    /// Entries of folders that must not be removed, moved or replaced.
    names: HashSet<(Identity, OsString)>,
    /// Folders in which the program may change attributes.
    writable: Vec<PathBuf>,
}

impl ProtectedFiles {
    /// Protects everything that is in the folder `suite` now.
    pub(super) fn of(suite: &Path, writable: &[PathBuf]) -> io::Result<Self> {
        let writable = writable.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let mut protected = Self { files: HashSet::new(), names: HashSet::new(), writable };
        if let (Some(above), Some(name)) = (suite.parent(), suite.file_name()) {
            protected.names.insert((identity(&fs::metadata(above)?), name.to_owned()));
        }
        let mut left = vec![suite.to_owned()];
        while let Some(folder) = left.pop() {
            let own = identity(&fs::metadata(&folder)?);
            protected.files.insert(own);
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                protected.names.insert((own, entry.file_name()));
                if entry.file_type()?.is_dir() {
                    left.push(entry.path());
                } else {
                    protected.files.insert(identity(&entry.metadata()?));
                }
            }
        }
        Ok(protected)
    }

    /// Allows a change of the mode, times or owner of `file`, or returns `EROFS`.
    pub(super) fn allow_attributes(&self, file: &OwnedFd) -> Result<(), Errno> {
        let found = fstat(file.as_fd())?;
        let own = self.files.contains(&(found.st_dev, found.st_ino));
        let place = name_of(file).map_err(|_| Errno::EPERM)?;
        if matches!(found.st_mode & libc::S_IFMT, libc::S_IFSOCK | libc::S_IFIFO) && place.is_relative() {
            // A socket or a pipe without a name belongs to the program.
            return Ok(());
        }
        if own || !self.writable.iter().any(|folder| place.starts_with(folder)) {
            return Err(Errno::EROFS);
        }
        Ok(())
    }

    /// Allows an entry of a folder to be removed, moved or replaced, or returns `EROFS`.
    pub(super) fn allow_entry(&self, place: &Place) -> Result<(), Errno> {
        let found = fstat(place.folder.as_fd())?;
        let entry = ((found.st_dev, found.st_ino), place.name.as_os_str().to_owned());
        if self.names.contains(&entry) { Err(Errno::EROFS) } else { Ok(()) }
    }
}

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}
