//! Durable and untrusted files.
//!
//! A file is written under another name, fsynced and renamed, and its folder is fsynced. Foreign files are opened without
//! following links or waiting for pipes, read up to a limit, and set aside instead of deleted.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::timestamp;

/// Extension of the spool's files.
const EXTENSION: &str = ".json";

/// Maximum size of a spool file in bytes, far above the largest result that is posted.
const MAX_BYTES: u64 = 256 << 20;

/// A folder of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Claims without a result.
    Claimed,
    /// Undelivered results.
    Results,
    /// Results that the backend rejected permanently.
    Rejected,
    /// Foreign or damaged files.
    Aside,
    /// Slots, and files that are being written.
    Unfinished,
}

impl Place {
    pub(super) const ALL: [Self; 5] =
        [Self::Claimed, Self::Results, Self::Rejected, Self::Aside, Self::Unfinished];

    /// The folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Results => "results",
            Self::Rejected => "rejected",
            Self::Aside => "aside",
            Self::Unfinished => "unfinished",
        }
    }
}

/// The folders of one spool.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    spool: PathBuf,
}

impl Folders {
    pub(super) fn below(state: &Path) -> Self {
        Self { spool: state.join("spool") }
    }

    /// The parent of all folders.
    pub(super) fn root(&self) -> &Path {
        &self.spool
    }

    pub(super) fn folder(&self, place: Place) -> PathBuf {
        self.spool.join(place.name())
    }

    /// The path of the file `name` in `place`.
    pub(super) fn file(&self, place: Place, name: &str) -> PathBuf {
        self.folder(place).join(format!("{name}{EXTENSION}"))
    }

    /// Creates all folders, without access for other users, and fsyncs them.
    pub(super) fn make(&self) -> io::Result<()> {
        for place in Place::ALL {
            make_folder(&self.folder(place))?;
        }
        // An existing folder may be accessible for others; removing access from the parent covers all folders.
        fs::set_permissions(&self.spool, Permissions::from_mode(0o700))
            .map_err(|error| at("close to other users", &self.spool, &error))?;
        sync_folder(&self.spool)?;
        self.spool.parent().map_or(Ok(()), sync_folder)
    }

    /// Names of the spool's own files in `place` without extension, oldest first.
    pub(super) fn names(&self, place: Place) -> io::Result<Vec<String>> {
        let names = self.list(place)?;
        Ok(names.iter().filter_map(|name| own(name)).map(str::to_owned).collect())
    }

    /// Names of all files in `place`, sorted.
    pub(super) fn list(&self, place: Place) -> io::Result<Vec<OsString>> {
        let folder = self.folder(place);
        let entries = fs::read_dir(&folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = entries.map_err(|error| at("list", &folder, &error))?;
        names.sort();
        Ok(names)
    }

    /// Claim time of a file's task: from its name, otherwise the file's modification time.
    pub(super) fn time_of(&self, place: Place, name: &str) -> Option<SystemTime> {
        timestamp::parse(name).or_else(|| fs::symlink_metadata(self.file(place, name)).ok()?.modified().ok())
    }

    /// Writes a file atomically and durably: after a crash it is complete or absent.
    pub(super) fn write(&self, place: Place, name: &str, text: &[u8]) -> io::Result<PathBuf> {
        let target = self.file(place, name);
        let beside = self.folder(Place::Unfinished).join(format!("{name}.{}", place.name()));
        let written = self.create(&beside).and_then(|mut file| {
            file.write_all(text)
                .and_then(|()| file.sync_data())
                .map_err(|error| at("write", &beside, &error))?;
            self.put(&beside, place, name)
        });
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written.map(|()| target)
    }

    /// Moves a written and fsynced file to its final path, durably.
    pub(super) fn put(&self, file: &Path, place: Place, name: &str) -> io::Result<()> {
        let target = self.file(place, name);
        fs::rename(file, &target).map_err(|error| at("rename to", &target, &error))?;
        sync_folder(&self.folder(place))
    }

    /// Creates an empty file without access for other users. Creates missing folders.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        let create = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true).mode(0o600);
            options.custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK).open(path)
        };
        let created = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make().and_then(|()| create()),
            created => created,
        };
        created.map_err(|error| at("make", path, &error))
    }

    /// Moves a foreign or damaged file to `aside/`. Returns its new path.
    pub(super) fn set_aside(&self, place: Place, file: &OsStr) -> io::Result<PathBuf> {
        let aside = self.folder(Place::Aside);
        let (from, mut to) = (self.folder(place).join(file), aside.join(file));
        if fs::symlink_metadata(&to).is_ok() {
            to = aside.join(format!("{}-{}", timestamp::name(SystemTime::now()), place.name()));
        }
        fs::rename(&from, &to).map_err(|error| at("set aside", &from, &error))?;
        Ok(to)
    }
}

/// The name without extension, if `file` has a name as the spool's own files.
pub(super) fn own(file: &OsStr) -> Option<&str> {
    let name = file.to_str()?.strip_suffix(EXTENSION)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    (!name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(plain))
        .then_some(name)
}

/// Reads an untrusted file. The error states why it is not a spool file.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let invalid = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => return invalid("a symbolic link"),
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => return invalid("a socket"),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return invalid("a folder");
    }
    if !metadata.is_file() {
        return invalid("not a regular file");
    }
    if metadata.len() > MAX_BYTES {
        return invalid("larger than any spool file");
    }
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(MAX_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// Creates a folder without access for other users, if there is none.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| at("make the folder", folder, &error))
}

/// Fsyncs a folder, which makes new names in it durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at("sync", folder, &error))
}

/// Removes a file; a missing file is not an error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Adds the operation and the path to an error; keeps its kind.
pub(super) fn at(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}
