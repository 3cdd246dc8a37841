//! How long a piece of work may take.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Stopped;

/// A point in time at which work is stopped, or earlier when the runner interrupts its work.
#[derive(Debug, Clone, Default)]
pub struct Deadline {
    at: Option<Instant>,
    limit: Duration,
    interrupt: CancellationToken,
}

impl Deadline {
    /// Passes `limit` after `start` (0: never), or when `interrupt` is cancelled.
    pub fn new(start: Instant, limit: Duration, interrupt: CancellationToken) -> Self {
        let at = if limit.is_zero() { None } else { start.checked_add(limit) };
        Self { at, limit, interrupt }
    }

    /// Passes `limit` after now. No interrupt reaches it.
    pub fn within(limit: Duration) -> Self {
        Self::new(Instant::now(), limit, CancellationToken::new())
    }

    /// The whole time that was given, for messages; 0: no limit.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits until it has passed and returns why.
    pub async fn passed(&self) -> Stopped {
        let timeout = async {
            match self.at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timeout => Stopped::Deadline,
            () = self.interrupt.cancelled() => Stopped::Interrupt,
        }
    }
}
