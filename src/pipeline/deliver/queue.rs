//! Takes results and starts their deliveries.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::delivery::Delivery;
use super::outgoing::{Outgoing, Unspooled};
use super::shared::{Shared, blocking};
use crate::backend::Backend;
use crate::observe::Observe;
use crate::spool::{Finished, Spool};
use crate::task::TaskId;

/// Time for the last attempts when the runner stops. Results that are not delivered by then stay in the spool.
const FLUSH_TIME: Duration = Duration::from_secs(10);

/// Time between two searches of the spool for results that people put there.
const SPOOL_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Takes results and delivers them in the background. Clones share the same deliveries.
#[derive(Debug, Clone)]
pub struct Deliver {
    shared: Arc<Shared>,
    deliveries: Arc<Mutex<JoinSet<()>>>,
}

/// What the backend does not have when the runner ends.
#[derive(Debug)]
pub struct Left {
    /// Number of claims in the spool; the next start runs them again.
    pub claims: usize,
    /// Number of results in the spool; the next start sends them again.
    pub results: usize,
    /// Number of results in no file.
    pub unspooled: usize,
}

impl Deliver {
    /// Delivers from `spool` to `backend`.
    pub fn new(backend: Arc<Backend>, spool: Spool, observe: Observe) -> Self {
        Self { shared: Arc::new(Shared::new(backend, spool, observe)), deliveries: Arc::default() }
    }

    /// Takes a result. Returns at once; the delivery goes on until the backend has accepted or refused it for good.
    pub async fn submit(&self, finished: Finished) {
        self.start(Outgoing::Spooled(finished)).await;
    }

    /// Takes a result that could not be written to the spool.
    pub async fn submit_unspooled(&self, id: TaskId, body: Vec<u8>) {
        self.start(Outgoing::Unspooled(Unspooled::new(id, body, self.shared.lost.clone()))).await;
    }

    async fn start(&self, result: Outgoing) {
        let mut deliveries = self.deliveries.lock().await;
        while deliveries.try_join_next().is_some() {}
        deliveries.spawn(Delivery::new(result, self.shared.clone()).run());
    }

    /// Picks up results that people put into the spool (`runner spool retry`, `mv`). Never returns.
    pub async fn watch_spool(&self) {
        loop {
            sleep(SPOOL_CHECK_INTERVAL).await;
            let spool = self.shared.spool.clone();
            match blocking(move || spool.new_results()).await {
                Ok(found) => {
                    for finished in found {
                        self.submit(finished).await;
                    }
                }
                Err(error) => {
                    tracing::debug!(name: "spool_unreadable", %error, "the spool cannot be read");
                }
            }
        }
    }

    /// Makes one more attempt for each result at once, and returns what is left after that.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub async fn drain(&self) -> io::Result<Left> {
        self.shared.hurry.cancel();
        let mut deliveries = self.deliveries.lock().await;
        timeout(FLUSH_TIME, async { while deliveries.join_next().await.is_some() {} }).await.ok();
        deliveries.shutdown().await;
        let spool = self.shared.spool.clone();
        let depth = blocking(move || spool.depth()).await?;
        let unspooled = self.shared.lost.load(Ordering::Relaxed);
        Ok(Left { claims: depth.claimed, results: depth.results, unspooled })
    }
}
