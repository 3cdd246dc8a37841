//! What the daemon does with tasks: prepares what they share, takes, runs and delivers them.

use std::time::{Duration, Instant};

use super::assemble::Daemon;
use crate::pipeline::deliver::Left;
use crate::pipeline::stop::Stop;
use report::Fault;
use sandbox::command::Deadline;

/// The longest pause between two attempts to prepare the suite.
const MAX_PAUSE: Duration = Duration::from_secs(60);

impl Daemon {
    /// Delivers the results that an earlier run left in the spool. This needs no suite, and so no warm-up.
    pub async fn deliver_found(&mut self) {
        for finished in std::mem::take(&mut self.found.results) {
            self.deliver.submit(finished).await;
        }
    }

    /// Prepares what all tasks share: the suite's mirror and environment. No task may be claimed before.
    ///
    /// # Errors
    /// The suite or its environment is not available, or `stop` drained meanwhile.
    pub async fn warm_up(&self, stop: &Stop) -> Result<(), Fault> {
        // No task runs yet, so a drain interrupts this at once.
        let deadline = Deadline::new(Instant::now(), Duration::ZERO, stop.drain.clone());
        self.worker.warm_up(&deadline).await.inspect(|()| self.observe.suite_ready())
    }

    /// Warms up, and tries again until it succeeds. Returns false if `stop` drained meanwhile.
    pub async fn warm_up_or_stop(&self, stop: &Stop) -> bool {
        let mut pause = Duration::from_secs(1);
        loop {
            match self.warm_up(stop).await {
                Ok(()) => return true,
                Err(_) if stop.drain.is_cancelled() => return false,
                Err(fault) => tracing::error!(
                    name: "suite_not_ready",
                    progress = %fault.progress,
                    cause = ?fault.cause,
                    %fault,
                    again_in = ?pause,
                    "the suite is not ready; no task is taken before it is"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_PAUSE),
                () = stop.drain.cancelled() => return false,
            }
        }
    }

    /// Takes, runs and delivers tasks until `stop` drains. Results that the backend has not taken stay in the spool.
    pub async fn run(&mut self, stop: &Stop) {
        let found = std::mem::take(&mut self.found.claims);
        tokio::select! {
            () = self.poll.run(found, stop) => {}
            () = self.deliver.watch_spool() => {}
        }
        self.flush().await;
    }

    /// Delivers what can be delivered now, and logs what stays in the spool.
    pub async fn flush(&self) {
        match self.deliver.drain().await {
            Ok(left) => log_left(&left),
            Err(error) => tracing::error!(
                name: "stopped_unknown",
                %error,
                "stopped: the spool cannot be read, so it is unknown whether every task is answered"
            ),
        }
    }

    /// Waits for the end of all processes that ran for tasks.
    pub async fn settle(&self) {
        self.worker.settle().await;
    }
}

fn log_left(left: &Left) {
    let &Left { claims, results, unspooled } = left;
    if unspooled > 0 {
        tracing::error!(
            name: "stopped_with_unspooled",
            left = unspooled,
            "stopped: results that only the log holds, see above"
        );
    }
    if results > 0 {
        tracing::warn!(
            name: "stopped_with_results",
            left = results,
            "stopped: results that the backend has not taken wait in the spool"
        );
    }
    if claims > 0 {
        tracing::warn!(
            name: "stopped_with_claims",
            left = claims,
            "stopped: claims that are not answered wait in the spool; they are run again at the next start"
        );
    }
    if (claims, results, unspooled) == (0, 0, 0) {
        tracing::info!(name: "stopped_clean", "stopped: everything that was taken is answered");
    }
}
