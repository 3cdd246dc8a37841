//! What all values of one open spool share.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::Folders;
use super::lock::Lock;

/// State of an open spool. The lock is released with the last value that refers to it.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) folders: Folders,
    /// Names of the results that this process is delivering; [`super::Spool::new_results`] skips them.
    held: Mutex<HashSet<String>>,
    _lock: Lock,
}

impl Inner {
    pub(super) fn new(folders: Folders, lock: Lock) -> Self {
        Self { folders, held: Mutex::default(), _lock: lock }
    }

    /// The names of held results.
    pub(super) fn held(&self) -> MutexGuard<'_, HashSet<String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
