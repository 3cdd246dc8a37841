//! What an earlier run left, and what came by hand: sorted into claims, results, and what is set aside.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::value::RawValue;

use super::claim::Claimed;
use super::files::{self, Place, own, remove};
use super::finished::Finished;
use super::format;
use super::{Found, Inner, stamp};
use crate::task::TaskId;

/// Looks through the whole spool. Fails only where a folder cannot be read or written.
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

pub(super) fn new_results(inner: &Arc<Inner>) -> io::Result<Vec<Finished>> {
    let mut new = Vec::new();
    for file in inner.folders.list(Place::Results)? {
        // Without a lock between this and reading it: who delivers it meanwhile has removed it first.
        let held = own(&file).is_none_or(|name| inner.held().contains(name));
        if !held && let Ok(Some(result)) = result(inner, &file) {
            new.push(result);
        }
    }
    new.sort_by(|a, b| (a.claimed_at(), a.name()).cmp(&(b.claimed_at(), b.name())));
    Ok(new)
}

/// A claim whose result is there, or was refused, is over: the runner died before it could remove it.
fn is_answered(inner: &Inner, name: &str) -> bool {
    inner.held().contains(name)
        || files::read(&inner.folders.file(Place::Rejected, name))
            .is_ok_and(|text| format::result(&text).is_ok())
}

/// Reads a file of `results/`. Nothing: it is gone, or held here. The error says why it is none.
fn result(inner: &Arc<Inner>, file: &OsStr) -> Result<Option<Finished>, String> {
    let path = inner.folders.folder(Place::Results).join(file);
    let Some((name, text)) = read(&path, file)? else { return Ok(None) };
    let parsed = format::result(&text)?;
    let claimed_at = stamp::parse(&parsed.claimed_at).unwrap_or_else(|| modified(&path));
    Ok(Finished::held(inner, name, task_id(parsed.id), claimed_at))
}

/// Reads a file of `claimed/`.
fn claim(inner: &Arc<Inner>, file: &OsStr) -> Result<Option<Claimed>, String> {
    let path = inner.folders.folder(Place::Claimed).join(file);
    let Some((name, text)) = read(&path, file)? else { return Ok(None) };
    let parsed = format::claim(&text)?;
    Ok(Some(Claimed {
        inner: inner.clone(),
        name: name.to_owned(),
        id: task_id(parsed.id),
        body: parsed.body()?.into_owned(),
        claimed_at: stamp::parse(&parsed.claimed_at).unwrap_or_else(|| modified(&path)),
        starts: parsed.starts,
        counted: false,
    }))
}

fn read<'a>(path: &Path, file: &'a OsStr) -> Result<Option<(&'a str, Vec<u8>)>, String> {
    // What kind of thing it is says more than its name, so it is read first.
    match files::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(text) => Ok(Some((own(file).ok_or("not named like a file of the spool (NAME.json)")?, text))),
    }
}

/// Slots and files that a crash cut. A claim that is whole but for its last step was taken from the backend: it is
/// given that step. One that is torn is set aside, for a person may still read whose it was.
fn unfinished(inner: &Arc<Inner>, found: &mut Found) -> io::Result<()> {
    let folder = inner.folders.folder(Place::Unfinished);
    for file in inner.folders.list(Place::Unfinished)? {
        let path = folder.join(&file);
        let name = Path::new(&file).file_stem().and_then(OsStr::to_str).unwrap_or_default();
        match Path::new(&file).extension().and_then(OsStr::to_str) {
            // What it was made from is still there, whole.
            Some("results" | "rejected") if !path.is_dir() => remove(&path)?,
            Some("claimed") if inner.folders.file(Place::Claimed, name).exists() => remove(&path)?,
            Some("claim" | "claimed") => match whole(&path) {
                Ok(None) => remove(&path)?,
                Ok(Some(length)) => finish_claim(inner, &path, name, length)?,
                Err(why) => {
                    let why = format!("a claim that a crash cut, its task may be lost: {why}");
                    aside(inner, Place::Unfinished, &file, why, found);
                }
            },
            _ => aside(inner, Place::Unfinished, &file, "no file of the spool".to_owned(), found),
        }
    }
    Ok(())
}

/// How long the claim in a slot's file is; nothing where no claim came to it.
fn whole(path: &Path) -> Result<Option<u64>, String> {
    let text = files::read(path).map_err(|error| error.to_string())?;
    // The rest of the reserved room.
    let length = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    if length == 0 {
        return Ok(None);
    }
    format::claim(&text[..length])?;
    Ok(Some(length as u64))
}

fn finish_claim(inner: &Inner, path: &Path, name: &str, length: u64) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_data()?;
    inner.folders.put(path, Place::Claimed, name)
}

fn aside(inner: &Inner, place: Place, file: &OsStr, why: String, found: &mut Found) {
    found.set_aside.push(match inner.folders.set_aside(place, file) {
        Ok(path) => (path, why),
        Err(error) => (inner.folders.folder(place).join(file), format!("{why}; and {error}")),
    });
}

fn modified(path: &Path) -> SystemTime {
    let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    modified.unwrap_or_else(|_| SystemTime::now())
}

fn task_id(raw: &RawValue) -> TaskId {
    TaskId::new(raw.to_owned())
}
