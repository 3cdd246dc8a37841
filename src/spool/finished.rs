//! A result on its way: on disk until the backend has it, or has refused it for good.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::files::{self, Place, at, remove};
use super::format::{self, Refused};
use super::{Inner, stamp};
use crate::task::TaskId;
use text::{clean, shorten_bytes};

/// What is kept of the answer that refused a result.
const LONGEST_ANSWER: usize = 16 << 10;

/// A result that waits for its delivery. Dropping it leaves it to the next [`super::Spool::new_results`].
#[derive(Debug)]
pub struct Finished {
    inner: Arc<Inner>,
    name: String,
    id: TaskId,
    claimed_at: SystemTime,
    /// Stays held when this goes: its file could not be removed, and must not be sent for ever.
    keep: bool,
}

impl Finished {
    /// Takes hold of the result `name`, unless somebody here has.
    pub(super) fn held(inner: &Arc<Inner>, name: &str, id: TaskId, claimed_at: SystemTime) -> Option<Self> {
        let new = inner.held().insert(name.to_owned());
        new.then(|| Self { inner: inner.clone(), name: name.to_owned(), id, claimed_at, keep: false })
    }

    /// The name of its file, without the ending: for logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// When its task was claimed, by the clock on the wall.
    pub fn claimed_at(&self) -> SystemTime {
        self.claimed_at
    }

    /// Reads the body to post, the bytes that [`super::Claimed::finish`] was given.
    ///
    /// `NotFound` means that a person has removed it: there is nothing left to deliver.
    pub fn body(&self) -> io::Result<Vec<u8>> {
        let text = self.read()?;
        let file = format::result(&text).map_err(|why| self.damaged(&why))?;
        Ok(file.result.get().as_bytes().to_vec())
    }

    /// The backend has it: removes it.
    ///
    /// Not synced: what comes back after a power cut is sent again, which is harmless. On an error it is sent again
    /// after the next start.
    pub fn delivered(mut self) -> io::Result<()> {
        self.keep = true;
        remove(&self.path())?;
        self.keep = false;
        Ok(())
    }

    /// The backend refuses it for good: keeps it in `rejected/`, with the answer. Says where. Where there is no room
    /// for the answer it goes without; on an error it stays, and is tried again after the next start.
    pub fn reject(mut self, status: u16, answer: &str) -> io::Result<PathBuf> {
        self.keep = true;
        let folders = &self.inner.folders;
        let to = folders.file(Place::Rejected, &self.name);
        if let Err(error) = self.write_refused(status, answer) {
            tracing::warn!(name: "refusal_not_kept", %error, status, answer, "a refused result is kept without the answer");
            fs::rename(self.path(), &to).map_err(|error| at("rename to", &to, &error))?;
        }
        remove(&self.path())?;
        self.keep = false;
        Ok(to)
    }

    fn write_refused(&self, status: u16, answer: &str) -> io::Result<()> {
        let text = self.read()?;
        let mut file = format::result(&text).map_err(|why| self.damaged(&why))?;
        let at = stamp::show(SystemTime::now()).into();
        let answer = clean(shorten_bytes(answer, LONGEST_ANSWER).as_ref()).into_owned().into();
        file.refused = Some(Refused { at, status, answer });
        self.inner.folders.write(Place::Rejected, &self.name, &format::write(&file)).map(drop)
    }

    fn path(&self) -> PathBuf {
        self.inner.folders.file(Place::Results, &self.name)
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        files::read(&self.path()).map_err(|error| at("read", &self.path(), &error))
    }

    fn damaged(&self, why: &str) -> io::Error {
        at("read", &self.path(), &io::Error::new(io::ErrorKind::InvalidData, why))
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        if !self.keep {
            self.inner.held().remove(&self.name);
        }
    }
}
