//! Finds the files of an earlier run and those that a person moved here: claims, results, and files to set aside.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::value::RawValue;

use super::claim::Claimed;
use super::files::{self, Place, own, remove};
use super::finished::Finished;
use super::format;
use super::inner::Inner;
use super::timestamp;
use crate::task::TaskId;

/// Files of an earlier run, oldest first.
#[derive(Debug, Default)]
pub struct Found {
    /// Claims without a result: to run again, or to answer with an error after [`super::MAX_STARTS`].
    pub claims: Vec<Claimed>,
    /// Undelivered results.
    pub results: Vec<Finished>,
    /// Foreign or damaged files: the path of each, and the reason. The caller logs a warning for each.
    pub set_aside: Vec<(PathBuf, String)>,
}

/// Reads all files of the spool. Fails only if a folder cannot be read or written.
pub(super) fn recover(inner: &Arc<Inner>) -> io::Result<Found> {
    let mut found = Found::default();
    for file in inner.folders.list(Place::Results)? {
        match result(inner, &file) {
            Ok(Some(result)) => found.results.push(result),
            Ok(None) => {}
            Err(why) => aside(inner, Place::Results, &file, why, &mut found),
        }
    }
    unfinished(inner, &mut found)?;
    for file in inner.folders.list(Place::Claimed)? {
        match claim(inner, &file) {
            Ok(Some(claim)) if is_answered(inner, &claim.name) => {
                remove(&inner.folders.file(Place::Claimed, &claim.name))?;
            }
            Ok(Some(claim)) => found.claims.push(claim),
            Ok(None) => {}
            Err(why) => aside(inner, Place::Claimed, &file, why, &mut found),
        }
    }
    found.claims.sort_by(|a, b| (a.claimed_at, &a.name).cmp(&(b.claimed_at, &b.name)));
    found.results.sort_by(|a, b| (a.claimed_at(), a.name()).cmp(&(b.claimed_at(), b.name())));
    Ok(found)
}

/// Returns valid results that this process does not hold, oldest first.
pub(super) fn new_results(inner: &Arc<Inner>) -> io::Result<Vec<Finished>> {
    let mut new = Vec::new();
    for file in inner.folders.list(Place::Results)? {
        // No lock is needed until the file is read: a delivery removes the file before it releases the name.
        let held = own(&file).is_none_or(|name| inner.held().contains(name));
        if !held && let Ok(Some(result)) = result(inner, &file) {
            new.push(result);
        }
    }
    new.sort_by(|a, b| (a.claimed_at(), a.name()).cmp(&(b.claimed_at(), b.name())));
    Ok(new)
}

/// Whether a claim has a result, delivered or rejected: the runner died before it removed the claim.
fn is_answered(inner: &Inner, name: &str) -> bool {
    inner.held().contains(name)
        || files::read(&inner.folders.file(Place::Rejected, name))
            .is_ok_and(|text| format::result(&text).is_ok())
}

/// Reads a file of `results/`. `None`: it was removed, or is held. The error states why it is not a result.
fn result(inner: &Arc<Inner>, file: &OsStr) -> Result<Option<Finished>, String> {
    let path = inner.folders.folder(Place::Results).join(file);
    let Some((name, text)) = read(&path, file)? else { return Ok(None) };
    let parsed = format::result(&text)?;
    let claimed_at = timestamp::parse(&parsed.claimed_at).unwrap_or_else(|| modified(&path));
    Ok(Finished::held(inner, name, task_id(parsed.id), claimed_at))
}

/// Reads a file of `claimed/`. `None`: it was removed. The error states why it is not a claim.
fn claim(inner: &Arc<Inner>, file: &OsStr) -> Result<Option<Claimed>, String> {
    let path = inner.folders.folder(Place::Claimed).join(file);
    let Some((name, text)) = read(&path, file)? else { return Ok(None) };
    let parsed = format::claim(&text)?;
    Ok(Some(Claimed {
        inner: inner.clone(),
        name: name.to_owned(),
        id: task_id(parsed.id),
        body: parsed.body()?.into_owned(),
        claimed_at: timestamp::parse(&parsed.claimed_at).unwrap_or_else(|| modified(&path)),
        starts: parsed.starts,
        counted: false,
    }))
}

/// Reads a file and returns its name without extension. `None`: it was removed.
fn read<'a>(path: &Path, file: &'a OsStr) -> Result<Option<(&'a str, Vec<u8>)>, String> {
    // Reads before it checks the name: "a symbolic link" is a better reason than a wrong name.
    match files::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(text) => Ok(Some((own(file).ok_or("not the name of a spool file (NAME.json)")?, text))),
    }
}

/// Handles slots and files that were being written during a crash. A complete claim is moved to `claimed/`. A truncated
/// one is set aside, because a person may still be able to read its task.
fn unfinished(inner: &Arc<Inner>, found: &mut Found) -> io::Result<()> {
    let folder = inner.folders.folder(Place::Unfinished);
    for file in inner.folders.list(Place::Unfinished)? {
        let path = folder.join(&file);
        let name = Path::new(&file).file_stem().and_then(OsStr::to_str).unwrap_or_default();
        match Path::new(&file).extension().and_then(OsStr::to_str) {
            // The file that it was made from still exists.
            Some("results" | "rejected") if !path.is_dir() => remove(&path)?,
            Some("claimed") if inner.folders.file(Place::Claimed, name).exists() => remove(&path)?,
            Some("claim" | "claimed") => match complete_length(&path) {
                Ok(None) => remove(&path)?,
                Ok(Some(length)) => finish_claim(inner, &path, name, length)?,
                Err(why) => {
                    let why = format!("a claim that a crash truncated, its task may be lost: {why}");
                    aside(inner, Place::Unfinished, &file, why, found);
                }
            },
            _ => aside(inner, Place::Unfinished, &file, "not a spool file".to_owned(), found),
        }
    }
    Ok(())
}

/// Length in bytes of the claim in a slot's file; `None` if no claim was written.
fn complete_length(path: &Path) -> Result<Option<u64>, String> {
    let text = files::read(path).map_err(|error| error.to_string())?;
    // The rest of the reserved space is zeros.
    let length = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if length == 0 {
        return Ok(None);
    }
    format::claim(&text[..length])?;
    Ok(Some(length as u64))
}

/// Truncates a slot's file to its claim and moves it to `claimed/`.
fn finish_claim(inner: &Inner, path: &Path, name: &str, length: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_data()?;
    inner.folders.put(path, Place::Claimed, name)
}

/// Sets a file aside and adds it to `found`.
fn aside(inner: &Inner, place: Place, file: &OsStr, why: String, found: &mut Found) {
    found.set_aside.push(match inner.folders.set_aside(place, file) {
        Ok(path) => (path, why),
        Err(error) => (inner.folders.folder(place).join(file), format!("{why}; and {error}")),
    });
}

/// Modification time of a file; now if it cannot be read.
fn modified(path: &Path) -> SystemTime {
    let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    modified.unwrap_or_else(|_| SystemTime::now())
}

fn task_id(raw: &RawValue) -> TaskId {
    TaskId::new(raw.to_owned())
}
