//! A result that is being delivered: it stays on disk until the backend accepts or permanently rejects it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::files::{self, Place, at, remove};
use super::format::{self, Refused};
use super::inner::Inner;
use super::timestamp;
use crate::task::TaskId;
use text::{clean, shorten_bytes};

/// Maximum bytes of the backend's response that are stored with a rejected result.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// An undelivered result. If it is dropped, the next [`super::Spool::new_results`] returns it again.
#[derive(Debug)]
pub struct Finished {
    inner: Arc<Inner>,
    name: String,
    id: TaskId,
    claimed_at: SystemTime,
    /// Keeps the name held after this value is dropped: the file could not be removed and must not be sent repeatedly.
    keep_held: bool,
}

impl Finished {
    /// Marks the result `name` as held; `None` if it is held already.
    pub(super) fn held(inner: &Arc<Inner>, name: &str, id: TaskId, claimed_at: SystemTime) -> Option<Self> {
        let new = inner.held().insert(name.to_owned());
        new.then(|| Self { inner: inner.clone(), name: name.to_owned(), id, claimed_at, keep_held: false })
    }

    /// Name of its file without extension, for logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The task's id.
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Time of its task's claim, by the system clock.
    pub fn claimed_at(&self) -> SystemTime {
        self.claimed_at
    }

    /// Reads the body to post: the bytes that were passed to [`super::Claimed::finish`].
    ///
    /// # Errors
    ///
    /// `NotFound` if somebody removed the file, so there is nothing to deliver; `InvalidData` if it is damaged; otherwise it
    /// cannot be read.
    pub fn body(&self) -> io::Result<Vec<u8>> {
        let text = self.read()?;
        let file = format::result(&text).map_err(|why| self.damaged(&why))?;
        Ok(file.result.get().as_bytes().to_vec())
    }

    /// Removes the result after the backend accepted it. Without fsync: if a power cut restores the file, the result is
    /// sent again, which is harmless.
    ///
    /// # Errors
    ///
    /// The file cannot be removed; the next start sends it again.
    pub fn delivered(mut self) -> io::Result<()> {
        self.keep_held = true;
        remove(&self.path())?;
        self.keep_held = false;
        Ok(())
    }

    /// Moves the result to `rejected/` with the backend's response, or without it if that cannot be written. Returns the
    /// new path.
    ///
    /// # Errors
    ///
    /// The file cannot be moved; the next start sends it again.
    pub fn reject(mut self, status: u16, answer: &str) -> io::Result<PathBuf> {
        self.keep_held = true;
        let folders = &self.inner.folders;
        let to = folders.file(Place::Rejected, &self.name);
        if let Err(error) = self.write_refused(status, answer) {
            tracing::warn!(name: "refusal_not_kept", %error, status, answer, "cannot store the backend's response with a rejected result");
            fs::rename(self.path(), &to).map_err(|error| at("rename to", &to, &error))?;
        }
        remove(&self.path())?;
        self.keep_held = false;
        Ok(to)
    }

    fn write_refused(&self, status: u16, answer: &str) -> io::Result<()> {
        let text = self.read()?;
        let mut file = format::result(&text).map_err(|why| self.damaged(&why))?;
        let at = timestamp::show(SystemTime::now()).into();
        let answer = clean(shorten_bytes(answer, MAX_ANSWER_BYTES).as_ref()).into_owned().into();
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
        if !self.keep_held {
            self.inner.held().remove(&self.name);
        }
    }
}
