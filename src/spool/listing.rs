//! The spool as people see it: what is there, without taking hold of it and without changing anything.

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
    /// The folder that it is in.
    pub place: Place,
    /// Its name without the ending; of what is set aside, with it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When its task was claimed.
    pub since: Option<SystemTime>,
    /// The task's id; nothing where the file cannot be read.
    pub id: Option<TaskId>,
    /// What else it says.
    pub about: About,
}

/// What a file says.
#[derive(Debug)]
pub enum About {
    /// A claim.
    Claim {
        /// How often a run of it was begun.
        starts: u32,
    },
    /// A result.
    Result {
        /// `success`, `failure` or `error`.
        verdict: &'static str,
        /// Status and text of the answer that refused it.
        refused: Option<(u16, String)>,
    },
    /// None of the spool's, or damaged: why.
    Unreadable(String),
}

/// Whether there is a spool below `state`: one of its folders, since other things have a folder named `spool` too, such
/// as `/var`.
pub fn is_there(state: &Path) -> io::Result<bool> {
    let folders = Folders::below(state);
    for place in Place::ALL {
        let folder = folders.folder(place);
        match folder.metadata() {
            Ok(found) if found.is_dir() => return Ok(true),
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(files::at("look at", &folder, &error));
            }
            _ => {}
        }
    }
    Ok(false)
}

/// All files of the spool below `state`: claims, results, rejected, set aside, each oldest first. A folder that is not
/// there is empty.
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

/// The text of an entry, read with the same care as at a start.
pub fn contents(entry: &Entry) -> io::Result<Vec<u8>> {
    files::read(&entry.path).map_err(|error| files::at("read", &entry.path, &error))
}

/// Puts a refused result back among those that wait, where a running runner finds it, or else the next start.
/// Says where it is now.
pub fn retry(state: &Path, entry: &Entry) -> io::Result<PathBuf> {
    let folders = Folders::below(state);
    let to = folders.file(Place::Results, &entry.name);
    if to.exists() {
        return Err(files::at("rename to", &to, &io::ErrorKind::AlreadyExists.into()));
    }
    folders.put(&entry.path, Place::Results, &entry.name)?;
    // Or a power cut could bring the refused one back beside it.
    files::sync_folder(&folders.folder(entry.place))?;
    Ok(to)
}

/// Removes an entry for good.
pub fn discard(state: &Path, entry: &Entry) -> io::Result<()> {
    if entry.place == Place::Aside && std::fs::symlink_metadata(&entry.path)?.is_dir() {
        std::fs::remove_dir_all(&entry.path).map_err(|error| files::at("remove", &entry.path, &error))?;
    } else {
        files::remove(&entry.path)?;
    }
    files::sync_folder(&Folders::below(state).folder(entry.place))
}

/// Nothing where the file has gone meanwhile.
fn entry(folders: &Folders, place: Place, file: &OsStr) -> Option<Entry> {
    let path = folders.folder(place).join(file);
    let size = std::fs::symlink_metadata(&path).ok()?.len();
    let ours = own(file).filter(|_| place != Place::Aside);
    let name = ours.map_or_else(|| file.to_string_lossy().into_owned(), str::to_owned);
    let (id, about) = match (place, ours, files::read(&path)) {
        (_, _, Err(error)) if error.kind() == io::ErrorKind::NotFound => return None,
        (Place::Aside, ..) => (None, About::Unreadable("set aside".to_owned())),
        (_, None, Ok(_)) => {
            (None, About::Unreadable("not named like a file of the spool (NAME.json)".to_owned()))
        }
        (_, _, Err(error)) => (None, About::Unreadable(error.to_string())),
        (_, Some(_), Ok(text)) => about(place, &text).unwrap_or_else(|why| (None, About::Unreadable(why))),
    };
    let since = ours.and_then(|name| folders.time_of(place, name));
    Some(Entry { place, name, path, size, since, id, about })
}

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

/// As the backend derives it.
fn verdict(result: &RawValue) -> &'static str {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Says {
        is_error: bool,
        is_passed: bool,
    }
    match serde_json::from_str(result.get()).unwrap_or_default() {
        Says { is_error: true, .. } => "error",
        Says { is_passed: true, .. } => "success",
        Says { .. } => "failure",
    }
}
