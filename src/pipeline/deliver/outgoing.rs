//! A result that is being delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::spool::Finished;
use crate::task::TaskId;

/// A result that is being delivered.
pub(super) enum Outgoing {
    /// In the spool, where it stays until the backend has it.
    Spooled(Finished),
    /// In memory only, because the disk did not take it.
    Unspooled(Unspooled),
}

impl Outgoing {
    /// The id of the task, as the log writes it.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Spooled(finished) => finished.id().for_log(),
            Self::Unspooled(result) => result.id.for_log(),
        }
    }
}

/// A result that is in no file. If it is dropped before [`Self::settle`], the runner ends before the backend has it: the
/// drop writes the body to the log, from which a person can post it.
pub(super) struct Unspooled {
    id: TaskId,
    pub(super) body: Vec<u8>,
    lost: Arc<AtomicUsize>,
}

impl Unspooled {
    /// `lost` counts the results that were dropped before they were settled.
    pub(super) fn new(id: TaskId, body: Vec<u8>, lost: Arc<AtomicUsize>) -> Self {
        Self { id, body, lost }
    }

    /// Ends the duty to log the body: the backend has it, or the caller logs it. Returns the body.
    pub(super) fn settle(mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.body)).into_owned()
    }
}

impl Drop for Unspooled {
    fn drop(&mut self) {
        if !self.body.is_empty() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            let body = String::from_utf8_lossy(&self.body);
            tracing::error!(name: "result_lost", target: "critical", { task.id = self.id.for_log(), %body }, "the runner ends and this result is neither delivered nor in the spool: post it by hand");
        }
    }
}
