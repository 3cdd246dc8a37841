//! What was fetched of a repository before, so that a student's next attempt brings over what is new only.
//!
//! One folder a repository, with whole packs, the list of what is shallow, and the last commit. Packs are copied, never
//! shared: what a task does to its checkout stays there. A kill leaves only what the next use ignores; what turns out to be
//! damaged is thrown away, and the repository is fetched as if there had been nothing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use sha2::{Digest, Sha256};

use super::fetch::Tip;

/// More packs than this are not kept of one repository: it begins anew.
const MOST_PACKS: usize = 24;

/// A pack of more bytes is not kept: it is held in memory as it is copied.
const LARGEST: u64 = 64 << 20;

/// The name under which the fetch finds what is there already.
const KNOWN: &str = "refs/ostest/known";

/// Copies what is kept in `folder` into `repository`, which is new. Whether there was anything.
pub(super) fn lend(folder: &Path, repository: &Repository) -> io::Result<bool> {
    let Some(tip) =
        fs::read_to_string(folder.join("tip")).ok().and_then(|tip| tip.trim().parse::<Oid>().ok())
    else {
        return Ok(false);
    };
    let lock = File::create(folder.join("lock"))?;
    lock.lock_shared()?;
    let packs = repository.path().join("objects/pack");
    fs::create_dir_all(&packs)?;
    for name in names(folder)? {
        for end in ["pack", "idx"] {
            take(&folder.join(&name).with_extension(end), &packs.join(&name).with_extension(end))?;
        }
    }
    if folder.join("shallow").exists() {
        take(&folder.join("shallow"), &repository.path().join("shallow"))?;
    }
    // When it was used last, for whoever looks for room.
    lock.set_modified(std::time::SystemTime::now())?;
    let known = || -> Result<(), git2::Error> {
        repository.odb()?.refresh()?;
        repository.reference(KNOWN, tip, true, "kept")?;
        Ok(())
    };
    known().map_err(io::Error::other)?;
    Ok(true)
}

/// Takes the name away again: the task's repository is as if it had been fetched.
pub(super) fn forget(repository: &Repository) {
    if let Ok(mut known) = repository.find_reference(KNOWN) {
        known.delete().ok();
    }
}

/// Keeps in `folder` what `repository` has. Somebody who keeps the same at the same moment does it for both.
pub(super) fn keep(folder: &Path, repository: &Repository, tip: &Tip) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    let packs = repository.path().join("objects/pack");
    let (mut kept, fresh) = (names(folder)?, names(&packs)?);
    if kept.len() + fresh.iter().filter(|name| !kept.contains(name)).count() > MOST_PACKS {
        fs::remove_file(folder.join("tip")).ok();
        for name in kept.drain(..) {
            for end in ["idx", "pack"] {
                fs::remove_file(folder.join(&name).with_extension(end)).ok();
            }
        }
        return Ok(());
    }
    let large = |name: &PathBuf| {
        fs::metadata(packs.join(name).with_extension("pack")).is_ok_and(|meta| meta.len() > LARGEST)
    };
    if fresh.iter().any(large) {
        return Ok(());
    }
    for name in fresh.iter().filter(|name| !kept.contains(name)) {
        // The index comes last: without it a pack is not there.
        for end in ["pack", "idx"] {
            put(&packs.join(name).with_extension(end), &folder.join(name).with_extension(end))?;
        }
    }
    let shallow = repository.path().join("shallow");
    if shallow.is_file() {
        put(&shallow, &folder.join("shallow"))?;
    }
    let note = folder.join(".tip");
    fs::write(&note, tip.commit.to_string())?;
    fs::rename(note, folder.join("tip"))
}

/// Throws away what is kept in `folder`.
pub(super) fn discard(folder: &Path) {
    fs::remove_dir_all(folder).ok();
}

/// Copies a file in, with its sum beside it.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let unfinished = to.with_extension("unfinished");
    fs::write(sum_of(to), sum(&bytes))?;
    fs::write(&unfinished, bytes)?;
    fs::rename(unfinished, to)
}

/// Copies a file out, if it is what was put in: libgit2 must not even see another.
fn take(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    if fs::read_to_string(sum_of(from))? != sum(&bytes) {
        return Err(io::Error::other(format!("{} is damaged", from.display())));
    }
    fs::write(to, bytes)
}

fn sum_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sum");
    name.into()
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The packs in a folder that are whole, without their endings.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let indexes = entries.flatten().map(|entry| entry.path());
    let whole = indexes.filter(|path| {
        path.extension().is_some_and(|end| end == "idx") && path.with_extension("pack").is_file()
    });
    Ok(whole.filter_map(|path| Some(PathBuf::from(path.file_stem()?))).collect())
}
