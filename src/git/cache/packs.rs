//! The cached packs of one repository, used by the git child.
//!
//! The folder contains complete packs with checksums, the list of shallow commits, and the last commit. Packs are copied
//! in and out, never shared, so a task cannot change the cache through its checkout. After a kill, incomplete files are
//! ignored; damaged ones make the child discard the cache and fetch everything.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use sha2::{Digest, Sha256};

use crate::git::fetch::Tip;

/// Maximum number of packs of one repository; the cache is emptied instead of exceeding it.
const MAX_PACKS: usize = 24;

/// Maximum size of a cached pack in bytes; a pack is copied through memory.
const MAX_PACK_BYTES: u64 = 64 << 20;

/// The reference that tells the fetch which commit is already present.
const KNOWN: &str = "refs/ostest/known";

/// Copies the packs in `folder` into the new `repository`. Returns whether there were any.
///
/// # Errors
///
/// A file of the cache is damaged or cannot be copied.
pub(in crate::git) fn restore(folder: &Path, repository: &Repository) -> io::Result<bool> {
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
            copy_out(&folder.join(&name).with_extension(end), &packs.join(&name).with_extension(end))?;
        }
    }
    if folder.join("shallow").exists() {
        copy_out(&folder.join("shallow"), &repository.path().join("shallow"))?;
    }
    // The time of the last use, for `CacheFolders::prune`.
    lock.set_modified(std::time::SystemTime::now())?;
    let known = || -> Result<(), git2::Error> {
        repository.odb()?.refresh()?;
        repository.reference(KNOWN, tip, true, "cached")?;
        Ok(())
    };
    known().map_err(io::Error::other)?;
    Ok(true)
}

/// Removes the reference that [`restore`] added, so that the repository equals a fetched one.
pub(in crate::git) fn remove_reference(repository: &Repository) {
    if let Ok(mut known) = repository.find_reference(KNOWN) {
        known.delete().ok();
    }
}

/// Copies the packs of `repository` into `folder`. Does nothing if another process does so at this moment.
///
/// # Errors
///
/// A file cannot be read or written.
pub(in crate::git) fn save(folder: &Path, repository: &Repository, tip: &Tip) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    let packs = repository.path().join("objects/pack");
    let (mut cached, fresh) = (names(folder)?, names(&packs)?);
    if cached.len() + fresh.iter().filter(|name| !cached.contains(name)).count() > MAX_PACKS {
        fs::remove_file(folder.join("tip")).ok();
        for name in cached.drain(..) {
            for end in ["idx", "pack"] {
                fs::remove_file(folder.join(&name).with_extension(end)).ok();
            }
        }
        return Ok(());
    }
    let large = |name: &PathBuf| {
        fs::metadata(packs.join(name).with_extension("pack")).is_ok_and(|meta| meta.len() > MAX_PACK_BYTES)
    };
    if fresh.iter().any(large) {
        return Ok(());
    }
    for name in fresh.iter().filter(|name| !cached.contains(name)) {
        // The index comes last, because a pack without an index is ignored.
        for end in ["pack", "idx"] {
            copy_in(&packs.join(name).with_extension(end), &folder.join(name).with_extension(end))?;
        }
    }
    let shallow = repository.path().join("shallow");
    if shallow.is_file() {
        copy_in(&shallow, &folder.join("shallow"))?;
    }
    let unfinished = folder.join(".tip");
    fs::write(&unfinished, tip.commit.to_string())?;
    fs::rename(unfinished, folder.join("tip"))
}

/// Removes `folder`.
pub(in crate::git) fn discard(folder: &Path) {
    fs::remove_dir_all(folder).ok();
}

/// Copies a file into the cache and writes its checksum beside it.
fn copy_in(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let unfinished = to.with_extension("unfinished");
    fs::write(sum_of(to), sum(&bytes))?;
    fs::write(&unfinished, bytes)?;
    fs::rename(unfinished, to)
}

/// Copies a file out of the cache after a check of its checksum: libgit2 must not read a damaged one.
fn copy_out(from: &Path, to: &Path) -> io::Result<()> {
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
    text::hex(&Sha256::digest(bytes))
}

/// Names of the packs in a folder that have an index, without extensions.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let indexes = entries.flatten().map(|entry| entry.path());
    let complete = indexes.filter(|path| {
        path.extension().is_some_and(|end| end == "idx") && path.with_extension("pack").is_file()
    });
    Ok(complete.filter_map(|path| Some(PathBuf::from(path.file_stem()?))).collect())
}
