//! The end of the runner: the first signal drains, the second interrupts running tasks, the third exits at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::observe::screen::Screen;

/// The tokens by which the parts of the runner learn of its end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Cancelled when the runner takes no more tasks.
    pub drain: CancellationToken,
    /// Cancelled when the runner interrupts its running tasks.
    pub interrupt: CancellationToken,
}

impl Stop {
    /// Listens for SIGTERM and SIGINT. The returned future never ends; at the third signal it clears `screen` and ends the
    /// process.
    ///
    /// # Errors
    /// The system refuses a handler for a signal.
    pub fn listen(&self, screen: &Screen) -> io::Result<impl Future<Output = ()>> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        Ok(async move {
            either(&mut term, &mut int).await;
            tracing::info!(name: "draining", "stopping: the runner takes no more tasks, finishes the running ones and delivers their results");
            self.drain.cancel();
            either(&mut term, &mut int).await;
            tracing::warn!(name: "interrupting", "stopping now: running tasks are interrupted and reported as interrupted");
            self.interrupt.cancel();
            either(&mut term, &mut int).await;
            screen.clear();
            exit_at_once()
        })
    }

    /// Interrupts running tasks when the drain has lasted for `limit`; 0: never. The returned future never ends.
    pub async fn interrupt_after(&self, limit: Live<Duration>) {
        self.drain.cancelled().await;
        let (started, mut limits) = (Instant::now(), limit.watch());
        loop {
            let limit = *limits.borrow_and_update();
            let passed = async {
                match limit {
                    Duration::ZERO => std::future::pending().await,
                    limit => tokio::time::sleep_until(started + limit).await,
                }
            };
            tokio::select! {
                () = passed => {}
                // The limit has changed; it still counts from the start of the drain.
                Ok(()) = limits.changed() => continue,
            }
            if !self.interrupt.is_cancelled() {
                tracing::warn!(
                    name: "drain_timed_out",
                    ?limit,
                    "the drain has lasted too long: running tasks are interrupted and reported as interrupted"
                );
            }
            self.interrupt.cancel();
            return std::future::pending().await;
        }
    }
}

/// Waits for one of the two signals.
async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

#[expect(clippy::exit, reason = "the third signal ends the process whatever is under way")]
fn exit_at_once() -> ! {
    std::process::exit(130)
}
