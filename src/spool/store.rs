//! The open spool.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::claim::Slot;
use super::depth::{self, Depth};
use super::files::{self, Folders};
use super::finished::Finished;
use super::inner::Inner;
use super::lock::{Lock, Locked};
use super::recover::{self, Found};

/// The spool of one state folder. This process holds its lock as long as this value, or any value made from it, exists.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

/// Why the spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another runner uses this state folder.
    #[error(
        "another runner uses {}: {by}; stop it, or start this one with another --state-dir", .state.display()
    )]
    Held {
        /// The state folder.
        state: PathBuf,
        /// The holder, from the lock file: process, host, start time.
        by: String,
    },
    /// An operation on a file failed. The error contains the operation and the path.
    #[error("cannot open the spool")]
    Io(#[from] io::Error),
}

impl Spool {
    /// Opens the spool below `state`, creates missing folders, and collects what an earlier run left.
    ///
    /// Truncated, foreign and unreadable files are set aside and never cause an error.
    ///
    /// # Errors
    ///
    /// [`OpenError::Held`] if another runner uses `state`; [`OpenError::Io`] if a folder cannot be created, read or locked.
    pub fn open(state: &Path) -> Result<(Self, Found), OpenError> {
        let folders = Folders::below(state);
        files::make_folder(state)?;
        let lock = match Lock::take(state)? {
            Locked::Taken(lock) => lock,
            Locked::By(by) => return Err(OpenError::Held { state: state.to_owned(), by }),
        };
        folders.make()?;
        let spool = Self(Arc::new(Inner::new(folders, lock)));
        let found = recover::recover(&spool.0)?;
        Ok((spool, found))
    }

    /// Reserves a slot: a file with enough disk space for the largest claim. The caller does this before it asks the
    /// backend for a task.
    ///
    /// # Errors
    ///
    /// The disk has no room or cannot be written; the caller must not claim a task now.
    pub fn reserve(&self) -> io::Result<Slot> {
        Slot::reserve(&self.0)
    }

    /// Returns results that were moved into `results/` since the last call (`runner spool retry`, `mv`, another host),
    /// and those that were dropped here undelivered, oldest first. The caller polls this every few seconds.
    ///
    /// A file that is not a valid result may still be being copied: it stays until the next start.
    ///
    /// # Errors
    ///
    /// The folder cannot be listed.
    pub fn new_results(&self) -> io::Result<Vec<Finished>> {
        recover::new_results(&self.0)
    }

    /// Counts the files, without reading them.
    ///
    /// # Errors
    ///
    /// A folder cannot be listed.
    pub fn depth(&self) -> io::Result<Depth> {
        depth::depth(&self.0.folders)
    }
}
