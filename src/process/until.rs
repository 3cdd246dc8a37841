//! How long a piece of work may go on, and what is said when that is over.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Stopped;
use crate::report::{Cause, Fault, Stage};
use crate::units::show;

/// How long something may go on: to a deadline, or until the runner interrupts its work.
#[derive(Debug, Clone, Default)]
pub struct Until {
    deadline: Option<Instant>,
    /// The time that was given in all, for messages.
    limit: Duration,
    interrupt: CancellationToken,
}

impl Until {
    /// From `start` for `limit` (0: no limit), or until `interrupt`.
    pub fn new(start: Instant, limit: Duration, interrupt: CancellationToken) -> Self {
        let deadline = if limit.is_zero() { None } else { start.checked_add(limit) };
        Self { deadline, limit, interrupt }
    }

    /// From now for `limit`, whatever the runner is told.
    pub fn within(limit: Duration) -> Self {
        Self::new(Instant::now(), limit, CancellationToken::new())
    }

    /// Runs `work` to its end, or drops it, with all its processes, when the time is over.
    pub async fn bound<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        tokio::select! {
            done = work => done,
            why = self.over() => Err(self.fault(why, stage)),
        }
    }

    /// The fault of work that was over in `stage` before it had ended.
    pub fn fault(&self, why: Stopped, stage: Stage) -> Fault {
        match why {
            Stopped::Deadline => {
                Fault::new(stage, Cause::Limit, format!("timed out after {} in {stage}", show(self.limit)))
            }
            Stopped::Interrupt => {
                Fault::new(stage, Cause::Interruption, format!("the runner was stopped during {stage}"))
            }
        }
    }

    /// Waits for the end of the time; says what brought it.
    pub async fn over(&self) -> Stopped {
        let deadline = async {
            match self.deadline {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = deadline => Stopped::Deadline,
            () = self.interrupt.cancelled() => Stopped::Interrupt,
        }
    }
}
