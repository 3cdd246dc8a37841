//! Files that survive: written beside, synced, renamed, and the folder synced. And files that are not ours to trust:
//! opened without following links or waiting for pipes, bounded, and set aside rather than deleted.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::stamp;

/// The ending of the spool's files.
const ENDING: &str = ".json";

/// Larger files are none of the spool's: the bound is far above the largest result that is posted.
const LARGEST: u64 = 256 << 20;

/// A folder of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Taken, not finished.
    Claimed,
    /// Finished, not yet accepted.
    Results,
    /// Refused by the backend for good.
    Rejected,
    /// None of the spool's, or damaged.
    Aside,
    /// Slots and files that are just being written; of no meaning after the runner has gone.
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

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    spool: PathBuf,
}

impl Folders {
    pub(super) fn below(state: &Path) -> Self {
        Self { spool: state.join("spool") }
    }

    /// The folder of all of them.
    pub(super) fn root(&self) -> &Path {
        &self.spool
    }

    pub(super) fn folder(&self, place: Place) -> PathBuf {
        self.spool.join(place.name())
    }

    /// The file of the claim `name`.
    pub(super) fn file(&self, place: Place, name: &str) -> PathBuf {
        self.folder(place).join(format!("{name}{ENDING}"))
    }

    /// Makes all folders, closed to other users, and makes them last.
    pub(super) fn make(&self) -> io::Result<()> {
        for place in Place::ALL {
            make_folder(&self.folder(place))?;
        }
        // One that was made by hand may be open to others; what is below is then closed all the same.
        fs::set_permissions(&self.spool, Permissions::from_mode(0o700))
            .map_err(|error| at("close to other users", &self.spool, &error))?;
        sync_folder(&self.spool)?;
        self.spool.parent().map_or(Ok(()), sync_folder)
    }

    /// Names of the spool's own files in `place`, without their ending; sorted, which is by age.
    pub(super) fn names(&self, place: Place) -> io::Result<Vec<String>> {
        let names = self.list(place)?;
        Ok(names.iter().filter_map(|name| own(name)).map(str::to_owned).collect())
    }

    /// Everything in `place`, sorted.
    pub(super) fn list(&self, place: Place) -> io::Result<Vec<OsString>> {
        let folder = self.folder(place);
        let entries = fs::read_dir(&folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let mut names = entries.map_err(|error| at("list", &folder, &error))?;
        names.sort();
        Ok(names)
    }

    /// When the task of a file was claimed: as its name says, or else when the file was last changed.
    pub(super) fn time_of(&self, place: Place, name: &str) -> Option<SystemTime> {
        stamp::parse(name).or_else(|| fs::symlink_metadata(self.file(place, name)).ok()?.modified().ok())
    }

    /// Writes a file so that it is there as a whole or not at all, and is there to stay on return.
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

    /// Gives a written and synced file its place, to stay.
    pub(super) fn put(&self, file: &Path, place: Place, name: &str) -> io::Result<()> {
        let target = self.file(place, name);
        fs::rename(file, &target).map_err(|error| at("rename to", &target, &error))?;
        sync_folder(&self.folder(place))
    }

    /// A new, empty file for this user alone. Folders that somebody removed are made again.
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

    /// Moves what is not the spool's out of the way. Says where it is now.
    pub(super) fn set_aside(&self, place: Place, file: &OsStr) -> io::Result<PathBuf> {
        let aside = self.folder(Place::Aside);
        let (from, mut to) = (self.folder(place).join(file), aside.join(file));
        if fs::symlink_metadata(&to).is_ok() {
            to = aside.join(format!("{}-{}", stamp::name(SystemTime::now()), place.name()));
        }
        fs::rename(&from, &to).map_err(|error| at("set aside", &from, &error))?;
        Ok(to)
    }
}

/// The name in front of the ending, where `file` is named as the spool names its own.
pub(super) fn own(file: &OsStr) -> Option<&str> {
    let name = file.to_str()?.strip_suffix(ENDING)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    (!name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.chars().all(plain))
        .then_some(name)
}

/// Reads a file that anybody may have put there. The error says what is wrong with it.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let wrong = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path);
    let file = match opened {
        Err(error) if error.raw_os_error() == Some(nix::libc::ELOOP) => return wrong("a symbolic link"),
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => return wrong("a socket"),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return wrong("a folder");
    }
    if !metadata.is_file() {
        return wrong("no regular file");
    }
    if metadata.len() > LARGEST {
        return wrong("too large to be a file of the spool");
    }
    let mut text = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Makes a folder that only this user may enter, where there is none.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| at("make the folder", folder, &error))
}

/// Makes the names in a folder last.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| at("sync", folder, &error))
}

/// Removes a file; one that is not there is removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path, &error)),
        _ => Ok(()),
    }
}

/// An error that says what was being done, and to what; its kind stays.
pub(super) fn at(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}
