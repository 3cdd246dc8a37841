//! Deadline of a piece of work.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::exit::Stopped;

/// A point in time at which work is stopped; the work is stopped earlier if the runner interrupts it.
#[derive(Debug, Clone, Default)]
pub struct Deadline {
    at: Option<Instant>,
    limit: Duration,
    interrupt: CancellationToken,
}

impl Deadline {
    /// Makes a deadline that passes `limit` after `start` (0: never), or when `interrupt` is cancelled.
    pub fn new(start: Instant, limit: Duration, interrupt: CancellationToken) -> Self {
        let at = if limit.is_zero() { None } else { start.checked_add(limit) };
        Self { at, limit, interrupt }
    }

    /// Makes a deadline that passes `limit` after now (0: never) and cannot be interrupted.
    pub fn within(limit: Duration) -> Self {
        Self::new(Instant::now(), limit, CancellationToken::new())
    }

    /// Returns the whole time that was given, for messages; 0: no limit.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Waits until the deadline has passed, and returns why.
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
