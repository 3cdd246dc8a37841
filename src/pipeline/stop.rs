//! Stop is not cancel: the first signal drains, the second interrupts what runs, the third exits at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::observe::screen::Screen;

/// What the rest of the runner sees of its end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Cancelled when no more work is to be taken.
    pub drain: CancellationToken,
    /// Cancelled when work in hand is to be interrupted.
    pub interrupt: CancellationToken,
}

impl Stop {
    /// Listens for SIGTERM and SIGINT. The returned future never ends: at the third signal the process does, and leaves
    /// nothing on `screen`.
    pub fn listen(&self, screen: &Screen) -> io::Result<impl Future<Output = ()>> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        Ok(async move {
            either(&mut term, &mut int).await;
            tracing::info!(name: "draining", "stopping: no more tasks are taken, what runs is finished and delivered");
            self.drain.cancel();
            either(&mut term, &mut int).await;
            tracing::warn!(name: "interrupting", "stopping now: what runs is interrupted and reported as such");
            self.interrupt.cancel();
            either(&mut term, &mut int).await;
            screen.clear();
            exit_at_once()
        })
    }

    /// Interrupts what runs when the drain has lasted for `limit`; 0: never. The returned future never ends.
    pub async fn interrupt_after(&self, limit: Live<Duration>) {
        self.drain.cancelled().await;
        let (started, mut limits) = (Instant::now(), limit.watch());
        loop {
            let limit = *limits.borrow_and_update();
            let over = async {
                match limit {
                    Duration::ZERO => std::future::pending().await,
                    limit => tokio::time::sleep_until(started + limit).await,
                }
            };
            tokio::select! {
                () = over => {}
                // It is another now; what has passed of it counts.
                Ok(()) = limits.changed() => continue,
            }
            if !self.interrupt.is_cancelled() {
                tracing::warn!(
                    name: "drain_timed_out",
                    ?limit,
                    "the drain has lasted too long: what runs is interrupted and reported as such"
                );
            }
            self.interrupt.cancel();
            return std::future::pending().await;
        }
    }
}

async fn either(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

#[expect(clippy::exit, reason = "the third signal means: at once, whatever is under way")]
fn exit_at_once() -> ! {
    std::process::exit(130)
}
