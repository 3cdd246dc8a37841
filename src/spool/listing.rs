//! The spool for `runner spool`: lists, retries and discards files without locking the spool.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::files::{self, Folders, Place, own};
use super::format;
use crate::task::TaskId;

/// A file of the spool.
#[derive(Debug)]
pub struct Entry {
    /// Its folder.
    pub place: Place,
    /// Its name without extension; the complete name if it is set aside.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Claim time of its task.
    pub since: Option<SystemTime>,
    /// The task's id; `None` if the file cannot be read.
    pub id: Option<TaskId>,
    /// Its contents.
    pub about: About,
}

/// Contents of a file.
#[derive(Debug)]
pub enum About {
    /// A claim.
    Claim {
        /// Number of started attempts.
        starts: u32,
    },
    /// A result.
    Result {
        /// `success`, `failure` or `error`.
        verdict: &'static str,
        /// Status and text of the response that rejected it.
        refused: Option<(u16, String)>,
    },
    /// Not a spool file, or a damaged one; contains the reason.
    Unreadable(String),
}

/// Whether there is a spool below `state`. Checks the folders in it, because other programs have a folder `spool` too, for
/// example in `/var`.
///
/// # Errors
///
/// A folder cannot be accessed.
pub fn is_there(state: &Path) -> io::Result<bool> {
    let folders = Folders::below(state);
    for place in Place::ALL {
        let folder = folders.folder(place);
        match folder.metadata() {
            Ok(found) if found.is_dir() => return Ok(true),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(files::at("access", &folder, &error));
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Lists all files of the spool below `state`: claims, results, rejected, set aside, each oldest first. A missing folder
/// counts as empty.
///
/// # Errors
///
/// A folder cannot be listed.
pub fn entries(state: &Path) -> io::Result<Vec<Entry>> {
    let folders = Folders::below(state);
    let mut entries = Vec::new();
    for place in [Place::Claimed, Place::Results, Place::Rejected, Place::Aside] {
        let names = match folders.list(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            names => names?,
        };
        entries.extend(names.iter().filter_map(|file| entry(&folders, place, file)));
    }
    Ok(entries)
}

/// Reads the file of an entry.
///
/// # Errors
///
/// The file is not a regular file, is too large, or cannot be read.
pub fn contents(entry: &Entry) -> io::Result<Vec<u8>> {
    files::read(&entry.path).map_err(|error| files::at("read", &entry.path, &error))
}

/// Moves a rejected result back to `results/`, where a running runner, or the next one, finds it. Returns its new path.
///
/// # Errors
///
/// `AlreadyExists` if `results/` contains a file with this name; otherwise the file cannot be moved.
pub fn retry(state: &Path, entry: &Entry) -> io::Result<PathBuf> {
    let folders = Folders::below(state);
    let to = folders.file(Place::Results, &entry.name);
    if to.exists() {
        return Err(files::at("rename to", &to, &io::ErrorKind::AlreadyExists.into()));
    }
    folders.put(&entry.path, Place::Results, &entry.name)?;
    // Without this fsync, a power cut could restore the file in `rejected/` too.
    files::sync_folder(&folders.folder(entry.place))?;
    Ok(to)
}

/// Removes the file of an entry, durably. Also removes a folder that is set aside.
///
/// # Errors
///
/// The file cannot be removed.
pub fn discard(state: &Path, entry: &Entry) -> io::Result<()> {
    if entry.place == Place::Aside && std::fs::symlink_metadata(&entry.path)?.is_dir() {
        std::fs::remove_dir_all(&entry.path).map_err(|error| files::at("remove", &entry.path, &error))?;
    } else {
        files::remove(&entry.path)?;
    }
    files::sync_folder(&Folders::below(state).folder(entry.place))
}

/// Reads one file of the spool. `None`: it was removed in the meantime.
fn entry(folders: &Folders, place: Place, file: &OsStr) -> Option<Entry> {
    let path = folders.folder(place).join(file);
    let size = std::fs::symlink_metadata(&path).ok()?.len();
    let own_name = own(file).filter(|_| place != Place::Aside);
    let name = own_name.map_or_else(|| file.to_string_lossy().into_owned(), str::to_owned);
    let (id, about) = match (place, own_name, files::read(&path)) {
        (_, _, Err(error)) if error.kind() == io::ErrorKind::NotFound => return None,
        (Place::Aside, ..) => (None, About::Unreadable("set aside".to_owned())),
        (_, None, Ok(_)) => (None, About::Unreadable("not the name of a spool file (NAME.json)".to_owned())),
        (_, _, Err(error)) => (None, About::Unreadable(error.to_string())),
        (_, Some(_), Ok(text)) => about(place, &text).unwrap_or_else(|why| (None, About::Unreadable(why))),
    };
    let since = own_name.and_then(|name| folders.time_of(place, name));
    Some(Entry { place, name, path, size, since, id, about })
}

/// Parses the contents of a file in `place`. The error states what is wrong with it.
fn about(place: Place, text: &[u8]) -> Result<(Option<TaskId>, About), String> {
    let id = |raw: &RawValue| Some(TaskId::new(raw.to_owned()));
    if place == Place::Claimed {
        let claim = format::claim(text)?;
        return Ok((id(claim.id), About::Claim { starts: claim.starts }));
    }
    let file = format::result(text)?;
    let refused = file.refused.as_ref().map(|refused| (refused.status, refused.answer.clone().into_owned()));
    Ok((id(file.id), About::Result { verdict: verdict(file.result), refused }))
}

/// The verdict, derived as the backend does.
fn verdict(result: &RawValue) -> &'static str {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Flags {
        is_error: bool,
        is_passed: bool,
    }
    match serde_json::from_str(result.get()).unwrap_or_default() {
        Flags { is_error: true, .. } => "error",
        Flags { is_passed: true, .. } => "success",
        Flags { .. } => "failure",
    }
}
