//! What all deliveries share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::backend::Backend;
use crate::observe::Observe;
use crate::spool::Spool;

/// Requests at a time. Each holds the body of a result in memory.
const MAX_REQUESTS: usize = 4;

/// What all deliveries share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) backend: Arc<Backend>,
    pub(super) spool: Spool,
    pub(super) observe: Observe,
    /// One permit for each request at a time.
    pub(super) requests: Semaphore,
    /// Number of results that the backend has accepted since the start.
    pub(super) accepted: AtomicU64,
    /// Number of results that were dropped undelivered and are in no file.
    pub(super) lost: Arc<AtomicUsize>,
    /// Cancelled when the runner stops: each delivery makes one more attempt, without a pause.
    pub(super) hurry: CancellationToken,
}

impl Shared {
    pub(super) fn new(backend: Arc<Backend>, spool: Spool, observe: Observe) -> Self {
        Self {
            backend,
            spool,
            observe,
            requests: Semaphore::new(MAX_REQUESTS),
            accepted: AtomicU64::new(0),
            lost: Arc::default(),
            hurry: CancellationToken::new(),
        }
    }
}

/// Runs work on the disk in a thread of its own, so that it does not block the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done)
}
