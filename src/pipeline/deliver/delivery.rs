//! The delivery of one result.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::time::sleep;

use super::outgoing::Outgoing;
use super::schedule::{Next, Schedule, TOO_LARGE};
use super::shared::{Shared, blocking};
use crate::backend::{Error, wire};

/// The delivery of one result.
pub(super) struct Delivery {
    result: Outgoing,
    shared: Arc<Shared>,
    schedule: Schedule,
    started: Instant,
}

/// Why an attempt failed.
enum AttemptError {
    /// A person has removed the result from the spool.
    Removed,
    Backend(Error),
}

impl Delivery {
    pub(super) fn new(result: Outgoing, shared: Arc<Shared>) -> Self {
        let schedule = Schedule::new(shared.accepted.load(Ordering::Relaxed));
        Self { result, shared, schedule, started: Instant::now() }
    }

    /// Makes attempts until the backend has accepted the result or refused it for good, or until the runner stops.
    pub(super) async fn run(mut self) {
        loop {
            let last = self.shared.hurry.is_cancelled();
            let error = match self.attempt().await {
                Ok(()) => return self.accepted().await,
                Err(AttemptError::Removed) => return,
                Err(AttemptError::Backend(error)) => error,
            };
            let pause = match self.schedule.failed(&error, &self.result.id(), &self.shared) {
                Next::Done => return self.accepted().await,
                Next::Reject(status) => return self.reject(status, &error).await,
                Next::Wait(pause) => pause,
            };
            let attempt = self.schedule.failures();
            self.shared.observe.delivery_retried();
            tracing::warn!(name: "delivery_retried", { task.id = self.result.id(), %error, attempt, ?pause }, "the backend did not accept the result; trying again");
            if last {
                return;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shared.hurry.cancelled() => {}
            }
        }
    }

    async fn attempt(&self) -> Result<(), AttemptError> {
        // The semaphore is never closed. Without a permit an attempt would only cost memory.
        let _permit = self.shared.requests.acquire().await.ok();
        let mut body = match &self.result {
            Outgoing::Unspooled(result) => result.body.clone(),
            Outgoing::Spooled(finished) => match finished.body() {
                Ok(body) => body,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(AttemptError::Removed),
                Err(error) => {
                    let reason = format!("cannot read the result from the spool: {error}");
                    return Err(AttemptError::Backend(Error::Client(reason)));
                }
            },
        };
        loop {
            self.shared.observe.delivery_attempt();
            match self.shared.backend.post(&body).await {
                // Shrinks the body and posts again at once: a body of the same size would be refused again at any time.
                // Each attempt begins with the whole body, since the limit may have been raised meanwhile.
                Err(error @ Error::Status { status: TOO_LARGE, .. }) => {
                    body = wire::shrink(&body).ok_or(AttemptError::Backend(error))?;
                }
                other => return other.map_err(AttemptError::Backend),
            }
        }
    }

    async fn accepted(self) {
        self.shared.accepted.fetch_add(1, Ordering::Relaxed);
        let (id, attempts) = (self.result.id(), self.schedule.failures() + 1);
        self.shared.observe.delivered(&id, self.started.elapsed());
        tracing::debug!(name: "result_delivered", { task.id = id, attempts, elapsed = ?self.started.elapsed() }, "delivered");
        match self.result {
            Outgoing::Spooled(finished) => {
                if let Err(error) = blocking(move || finished.delivered()).await {
                    tracing::warn!(name: "result_not_removed", { task.id = id, %error }, "cannot remove a delivered result from the spool; the next start sends it again");
                }
            }
            Outgoing::Unspooled(result) => {
                result.settle();
            }
        }
    }

    async fn reject(self, status: u16, error: &Error) {
        let (id, answer) = (self.result.id(), error.to_string());
        self.shared.observe.rejected(&id, status);
        match self.result {
            Outgoing::Spooled(finished) => match blocking(move || finished.reject(status, &answer)).await {
                Ok(file) => {
                    let kept = file.display();
                    tracing::error!(name: "result_refused", { task.id = id, %error, %kept }, "the backend refuses this result for good; it is in spool/rejected; send it again with: runner spool retry ID");
                }
                Err(kept) => {
                    tracing::error!(name: "result_refused", { task.id = id, %error, %kept }, "the backend refuses this result for good; it stays in the spool");
                }
            },
            Outgoing::Unspooled(result) => {
                let body = result.settle();
                tracing::error!(name: "result_refused", { task.id = id, %error, %body }, "the backend refuses this result for good");
            }
        }
    }
}
