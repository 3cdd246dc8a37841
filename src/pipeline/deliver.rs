//! Sends what the spool holds until the backend has it. Each result has its own schedule: a poisonous one holds up
//! no other, and one that is refused for good is kept with the answer that refused it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Error, wire};
use crate::observe::Observe;
use crate::spool::{Finished, Spool};
use crate::task::TaskId;

/// The longest pause between two attempts, before jitter; for a suspect result the second one.
const LONGEST_PAUSE: [Duration; 2] = [Duration::from_secs(300), Duration::from_secs(3600)];

/// The longest `Retry-After` that is honoured.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);

/// How long results have to get out when the runner stops. The others wait in the spool.
const FLUSH: Duration = Duration::from_secs(10);

/// How many empty answers in a row to the same result are taken as "yes".
const EMPTY_RECEIPTS: u32 = 3;

/// How often the same answer to one result, while others get through, shows that the result itself is the trouble.
const SUSPICIOUS: u32 = 5;

/// How often the spool is looked at for results that people put there.
const LOOK: Duration = Duration::from_secs(5);

/// What a backend, or a proxy before it, answers to a body that is larger than it takes.
const TOO_LARGE: u16 = 413;

/// Requests at a time: as many bodies are in memory.
const POSTS: usize = 4;

/// Takes results and delivers them in the background.
#[derive(Debug, Clone)]
pub struct Deliver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Arc<Backend>,
    spool: Spool,
    observe: Observe,
    under_way: Mutex<JoinSet<()>>,
    posts: Semaphore,
    /// Results that the backend has taken since the start.
    accepted: AtomicU64,
    /// Results that were dropped undelivered, and that no file holds.
    lost: Arc<AtomicUsize>,
    /// Cancelled when the runner stops: one more attempt, without a pause.
    hurry: CancellationToken,
}

/// A result on its way.
enum Outgoing {
    /// In the spool, where it stays until the backend has it.
    Spooled(Finished),
    /// In memory alone, since the disk did not take it.
    Unspooled(Unspooled),
}

/// What the backend has not taken when the runner ends.
#[derive(Debug)]
pub struct Left {
    /// In the spool, to be run again.
    pub claims: usize,
    /// In the spool, to be sent again.
    pub results: usize,
    /// In no file.
    pub unspooled: usize,
}

/// A result that no file holds. Should the runner end before the backend has it, the log is where it is found.
struct Unspooled {
    id: TaskId,
    body: Vec<u8>,
    lost: Arc<AtomicUsize>,
}

impl Unspooled {
    /// It is the backend's, or said already.
    fn settle(mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.body)).into_owned()
    }
}

impl Drop for Unspooled {
    fn drop(&mut self) {
        if !self.body.is_empty() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            let body = String::from_utf8_lossy(&self.body);
            tracing::error!(name: "result_lost", target: "critical", { task.id = self.id.for_log(), %body }, "this result is neither delivered nor in the spool, and the runner ends: post it by hand");
        }
    }
}

impl Deliver {
    /// Delivers from `spool` to `backend`.
    pub fn new(backend: Arc<Backend>, spool: Spool, observe: Observe) -> Self {
        Self(Arc::new(Inner {
            backend,
            spool,
            observe,
            under_way: Mutex::default(),
            posts: Semaphore::new(POSTS),
            accepted: AtomicU64::new(0),
            lost: Arc::default(),
            hurry: CancellationToken::new(),
        }))
    }

    /// Takes a result. Returns at once; the delivery goes on until the backend has answered for good.
    pub async fn submit(&self, finished: Finished) {
        self.start(Outgoing::Spooled(finished)).await;
    }

    /// Takes a result that could not be written down.
    pub async fn submit_unspooled(&self, id: TaskId, body: Vec<u8>) {
        self.start(Outgoing::Unspooled(Unspooled { id, body, lost: self.0.lost.clone() })).await;
    }

    async fn start(&self, result: Outgoing) {
        let mut under_way = self.0.under_way.lock().await;
        while under_way.try_join_next().is_some() {}
        let delivery = Delivery::new(result, &self.0);
        under_way.spawn(delivery.run(self.0.clone()));
    }

    /// Picks up what people put into the spool (`runner spool retry`, `mv`). Never ends.
    pub async fn watch_spool(&self) {
        loop {
            sleep(LOOK).await;
            let spool = self.0.spool.clone();
            match blocking(move || spool.new_results()).await {
                Ok(found) => {
                    for finished in found {
                        self.submit(finished).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(name: "spool_unreadable", %error, "the spool cannot be looked at");
                }
            }
        }
    }

    /// Gives every result one more attempt at once; says what is left after that.
    pub async fn drain(&self) -> io::Result<Left> {
        let inner = &self.0;
        inner.hurry.cancel();
        let mut under_way = inner.under_way.lock().await;
        timeout(FLUSH, async { while under_way.join_next().await.is_some() {} }).await.ok();
        under_way.shutdown().await;
        let spool = inner.spool.clone();
        let depth = blocking(move || spool.depth()).await?;
        let unspooled = inner.lost.load(Ordering::Relaxed);
        Ok(Left { claims: depth.claimed, results: depth.results, unspooled })
    }
}

/// What is known of one result's way so far.
struct Delivery {
    result: Outgoing,
    started: Instant,
    attempt: u32,
    /// The backend's count of accepted results when this one was first refused.
    accepted_before: u64,
    refused_before: bool,
    empty_receipts: u32,
    /// How often in a row the backend itself answered with the same status.
    same_status: (u16, u32),
}

/// What becomes of a result after an attempt that failed.
enum Next {
    Done,
    Reject(u16),
    Wait(Duration),
}

impl Delivery {
    fn new(result: Outgoing, inner: &Inner) -> Self {
        Self {
            result,
            started: Instant::now(),
            attempt: 0,
            accepted_before: inner.accepted.load(Ordering::Relaxed),
            refused_before: false,
            empty_receipts: 0,
            same_status: (0, 0),
        }
    }

    fn id(&self) -> String {
        match &self.result {
            Outgoing::Spooled(finished) => finished.id().for_log(),
            Outgoing::Unspooled(result) => result.id.for_log(),
        }
    }

    async fn run(mut self, inner: Arc<Inner>) {
        loop {
            let last = inner.hurry.is_cancelled();
            let error = match self.attempt(&inner).await {
                Ok(()) => return self.accepted(&inner).await,
                Err(Failed::Gone) => return,
                Err(Failed::Backend(error)) => error,
            };
            self.attempt += 1;
            let pause = match self.judge(&error, &inner) {
                Next::Done => return self.accepted(&inner).await,
                Next::Reject(status) => return self.reject(status, &error, &inner).await,
                Next::Wait(pause) => pause,
            };
            let attempt = self.attempt;
            inner.observe.delivery_retried();
            tracing::warn!(name: "delivery_retried", { task.id = self.id(), %error, attempt, ?pause }, "the result was not taken; trying again");
            if last {
                return;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = inner.hurry.cancelled() => {}
            }
        }
    }

    async fn attempt(&self, inner: &Inner) -> Result<(), Failed> {
        // Never closed; and an attempt without a permit would only cost memory.
        let _permit = inner.posts.acquire().await.ok();
        let mut body = match &self.result {
            Outgoing::Unspooled(result) => result.body.clone(),
            Outgoing::Spooled(finished) => match finished.body() {
                Ok(body) => body,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Failed::Gone),
                Err(error) => {
                    let reason = format!("cannot read it from the spool: {error}");
                    return Err(Failed::Backend(Error::Client(reason)));
                }
            },
        };
        loop {
            inner.observe.delivery_attempt();
            match inner.backend.post(&body).await {
                // At once: the same size would be refused again, whenever it came. Each time from the whole, for who
                // refuses it may have been set right meanwhile.
                Err(error @ Error::Status { status: TOO_LARGE, .. }) => {
                    body = wire::shrink(&body).ok_or(Failed::Backend(error))?;
                }
                other => return other.map_err(Failed::Backend),
            }
        }
    }

    /// Decides what a failure means for this result.
    fn judge(&mut self, error: &Error, inner: &Inner) -> Next {
        // Sending twice is harmless, losing is not: only what is empty every time is the backend's way to say yes.
        self.empty_receipts =
            if matches!(error, Error::EmptyReceipt { .. }) { self.empty_receipts + 1 } else { 0 };
        if self.empty_receipts == EMPTY_RECEIPTS {
            inner.backend.accept_empty_receipts();
            return Next::Done;
        }
        let status = if let Error::Status { status, .. } = error { *status } else { 0 };
        let for_good = matches!(status, 400 | 409 | 422);
        if for_good && self.refused_before {
            return Next::Reject(status);
        }
        self.refused_before = for_good;
        self.same_status = match self.same_status {
            (before, times) if before == status => (before, times + 1),
            _ => (status, 1),
        };
        let others_get_through = inner.accepted.load(Ordering::Relaxed) > self.accepted_before;
        let suspect = self.same_status.1 >= SUSPICIOUS && others_get_through;
        match status {
            404 if suspect => Next::Reject(status),
            TOO_LARGE | 500..=599 if suspect => {
                let (id, times) = (self.id(), self.same_status.1);
                tracing::error!(name: "delivery_poisoned", { task.id = id, %error, times }, "the backend fails on this result while it takes others");
                Next::Wait(self.pause(error, LONGEST_PAUSE[1]))
            }
            TOO_LARGE => {
                if self.same_status.1 == 1 {
                    tracing::error!(
                        name: "result_too_large",
                        target: "critical",
                        { task.id = self.id(), %error },
                        "the backend, or a proxy before it, finds this result too large though nothing more can be taken from it; it is tried ever more rarely: raise the limit there"
                    );
                }
                Next::Wait(self.pause(error, LONGEST_PAUSE[0]))
            }
            _ => Next::Wait(self.pause(error, LONGEST_PAUSE[0])),
        }
    }

    /// Exponential backoff with full jitter, from a floor that keeps it from spinning; `Retry-After` is honoured.
    fn pause(&self, error: &Error, longest: Duration) -> Duration {
        // A limit on sizes is a setting of somebody's, no weather that passes; and each attempt is several requests.
        let too_large = matches!(error, Error::Status { status: TOO_LARGE, .. });
        let attempt = self.attempt + if too_large { 5 } else { 0 };
        let ceiling = Duration::from_millis(500).saturating_mul(1 << attempt.min(13)).min(longest);
        let own = Duration::from_millis(100) + ceiling.mul_f64(fastrand::f64());
        match error {
            Error::Status { retry_after: Some(asked), .. } => own.max((*asked).min(LONGEST_ASKED)),
            _ => own,
        }
    }

    async fn accepted(self, inner: &Inner) {
        inner.accepted.fetch_add(1, Ordering::Relaxed);
        let (id, attempts) = (self.id(), self.attempt + 1);
        inner.observe.delivered(&id, self.started.elapsed());
        tracing::debug!(name: "result_delivered", { task.id = id, attempts, elapsed = ?self.started.elapsed() }, "delivered");
        match self.result {
            Outgoing::Spooled(finished) => {
                if let Err(error) = blocking(move || finished.delivered()).await {
                    tracing::warn!(name: "result_not_removed", { task.id = id, %error }, "a delivered result could not be removed from the spool; it is sent again after the next start");
                }
            }
            Outgoing::Unspooled(result) => {
                result.settle();
            }
        }
    }

    async fn reject(self, status: u16, error: &Error, inner: &Inner) {
        let (id, answer) = (self.id(), error.to_string());
        inner.observe.rejected(&id, status);
        match self.result {
            Outgoing::Spooled(finished) => {
                let kept = blocking(move || finished.reject(status, &answer)).await;
                match kept {
                    Ok(kept) => {
                        let kept = kept.display();
                        tracing::error!(name: "result_refused", { task.id = id, %error, %kept }, "the backend refuses this result for good; it is kept");
                    }
                    Err(kept) => {
                        tracing::error!(name: "result_refused", { task.id = id, %error, %kept }, "the backend refuses this result for good; it stays in the spool");
                    }
                }
            }
            Outgoing::Unspooled(result) => {
                let body = result.settle();
                tracing::error!(name: "result_refused", { task.id = id, %error, %body }, "the backend refuses this result for good");
            }
        }
    }
}

/// Why an attempt came to nothing.
enum Failed {
    /// A person has removed the result.
    Gone,
    Backend(Error),
}

/// Runs what waits for the disk beside the runtime's own thread.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done)
}
