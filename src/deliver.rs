//! Sends results until the backend has them. Each has its own schedule: a poisonous one holds up no other.
//!
//! Results wait in memory here; the spool, which keeps them on disk, comes between `submit` and the first attempt.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Error};
use crate::task::TaskId;

/// The longest pause between two attempts, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How many empty answers in a row to the same result are taken as "yes".
const EMPTY_RECEIPTS: u32 = 3;

/// How long results have to get out when the runner is told to stop now.
const FLUSH: Duration = Duration::from_secs(5);

/// Takes results and delivers them in the background.
#[derive(Debug, Clone)]
pub struct Deliver {
    backend: Arc<Backend>,
    under_way: Arc<Mutex<JoinSet<()>>>,
}

impl Deliver {
    /// Delivers to `backend`.
    pub fn new(backend: Arc<Backend>) -> Self {
        Self { backend, under_way: Arc::default() }
    }

    /// Takes the body of a result. Returns at once; the delivery goes on until the backend has answered for good.
    pub async fn submit(&self, id: TaskId, body: Vec<u8>) {
        let mut under_way = self.under_way.lock().await;
        while under_way.try_join_next().is_some() {}
        under_way.spawn(deliver(self.backend.clone(), id, body));
    }

    /// Waits until everything is delivered; after `hurry` not much longer. Says how many results were not.
    pub async fn drain(&self, hurry: &CancellationToken) -> usize {
        let mut under_way = self.under_way.lock().await;
        let give_up = async {
            hurry.cancelled().await;
            sleep(FLUSH).await;
        };
        tokio::select! {
            () = async { while under_way.join_next().await.is_some() {} } => 0,
            () = give_up => under_way.len(),
        }
    }
}

async fn deliver(backend: Arc<Backend>, id: TaskId, body: Vec<u8>) {
    let started = Instant::now();
    let mut refused_before = false;
    let mut empty_receipts = 0;
    for attempt in 0.. {
        let error = match backend.post(&body).await {
            Ok(()) => {
                tracing::debug!(task.id = id.for_log(), attempt, elapsed = ?started.elapsed(), "delivered");
                return;
            }
            Err(error) => error,
        };
        // Sending twice is harmless, losing is not: only what is empty every time is the backend's way to say yes.
        empty_receipts = if matches!(error, Error::EmptyReceipt { .. }) { empty_receipts + 1 } else { 0 };
        if empty_receipts == EMPTY_RECEIPTS {
            backend.take_empty_receipts();
            return;
        }
        let for_good = matches!(error, Error::Status { status: 400 | 409 | 422, .. });
        if for_good && refused_before {
            let body = String::from_utf8_lossy(&body);
            tracing::error!(task.id = id.for_log(), %error, %body, "the backend refuses this result for good");
            return;
        }
        refused_before = for_good;
        let pause = pause(attempt, &error);
        tracing::warn!(task.id = id.for_log(), %error, attempt, ?pause, "the result was not taken; trying again");
        sleep(pause).await;
    }
}

/// Exponential backoff with full jitter, from a floor that keeps it from spinning; `Retry-After` is honoured.
fn pause(attempt: u32, error: &Error) -> Duration {
    let ceiling = Duration::from_secs(1).saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
    let own = Duration::from_millis(100) + ceiling.mul_f64(fastrand::f64());
    match error {
        Error::Status { retry_after: Some(asked), .. } => own.max((*asked).min(LONGEST_PAUSE)),
        _ => own,
    }
}
