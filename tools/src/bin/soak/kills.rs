//! Kills and stops the runners, and records what their spools contained at each kill.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use fastrand::Rng;
use mock_backend::TaskId;
use tokio::time::sleep;
use tools::proc;

use crate::runner::Runner;
use crate::spool::Snapshot;

/// Time from the backend's response until the claim is on disk: one network hop and two `fsync`s. A task that was claimed
/// within this time before a kill, or shortly after it by a request of the killed runner, may be on no disk.
pub(crate) const IN_FLIGHT: Duration = Duration::from_millis(50);

/// Time limit of a runner's start until it handles signals.
const SIGNAL_HANDLERS: Duration = Duration::from_secs(2);

/// Time limit of a stop: the drain, and the delivery of pending results.
const STOP: Duration = Duration::from_secs(90);

/// Time limit of the end of a killed runner's processes. The runner promises one second; the rest is for a busy machine.
const PROCESSES_END: Duration = Duration::from_secs(3);

/// Records of the kills and stops.
#[derive(Debug, Default)]
pub(crate) struct Kills {
    /// Time of each kill, extended by [`IN_FLIGHT`] on both sides.
    windows: RefCell<Vec<(Instant, Instant)>>,
    /// Ids that were on disk at a kill. These tasks must not be lost.
    pub(crate) on_disk: RefCell<HashSet<TaskId>>,
    /// Maximum number of starts of each task that had no result at a kill.
    pub(crate) starts: RefCell<HashMap<TaskId, u32>>,
    /// Bodies of results that were on disk at a kill.
    pub(crate) results_on_disk: RefCell<HashMap<TaskId, Vec<u8>>>,
    /// Number of stops with SIGTERM.
    pub(crate) stops: Cell<usize>,
    /// Longest time until all processes of a killed runner ended.
    pub(crate) slowest_end: Cell<Duration>,
    /// The failed checks, one line each.
    pub(crate) errors: RefCell<Vec<String>>,
}

impl Kills {
    /// Kills or stops a runner every few seconds until `finished` is set: the first runner, and after `half_claimed` is set
    /// the second one, so that each has a time without kills that is long enough to measure. All runners run on return.
    ///
    /// # Errors
    /// Returns a message if a runner cannot be started.
    pub(crate) async fn run(
        &self,
        runners: &[Runner; 2],
        random: &mut Rng,
        half_claimed: &Cell<bool>,
        finished: &Cell<bool>,
    ) -> Result<(), String> {
        while !finished.get() {
            sleep(Duration::from_millis(random.u64(1_000..4_000))).await;
            let runner = &runners[usize::from(half_claimed.get())];
            if random.u32(..8) == 0 {
                self.stop(runner).await;
                runner.start()?;
                continue;
            }
            self.kill(runner).await;
            sleep(Duration::from_millis(random.u64(..1_000))).await;
            runner.start()?;
            // Sometimes again during its recovery.
            if random.u32(..5) == 0 {
                sleep(Duration::from_millis(random.u64(1..600))).await;
                self.kill(runner).await;
                runner.start()?;
            }
        }
        // The runner that was started last must handle SIGTERM before it is stopped.
        sleep(SIGNAL_HANDLERS).await;
        Ok(())
    }

    /// Number of kills.
    pub(crate) fn count(&self) -> usize {
        self.windows.borrow().len()
    }

    /// Whether a task claimed at this time may have been in flight to a runner at a kill.
    pub(crate) fn in_flight(&self, claimed: Instant) -> bool {
        self.windows.borrow().iter().any(|(from, to)| (*from..=*to).contains(&claimed))
    }

    /// Time from `claimed` to the next kill. Distinguishes a slow disk from a claim that was never written.
    pub(crate) fn next_kill(&self, claimed: Instant) -> Option<Duration> {
        let windows = self.windows.borrow();
        windows.iter().filter_map(|(from, _)| (*from + IN_FLIGHT).checked_duration_since(claimed)).min()
    }

    /// Stops a runner with SIGTERM. It must exit with code 0.
    pub(crate) async fn stop(&self, runner: &Runner) {
        self.stops.set(self.stops.get() + 1);
        match runner.stop(STOP).await {
            Some(status) if status.success() => {}
            Some(status) => self.error(format!("runner {} stopped with {status}", runner.number)),
            None => self.error(format!("runner {} did not stop within {STOP:?}", runner.number)),
        }
    }

    async fn kill(&self, runner: &Runner) {
        let from = Instant::now();
        runner.kill();
        self.record(Snapshot::read(&runner.state));
        // The backend runs in this thread: it may not have processed the last request of the killed runner yet.
        let to = Instant::now() + IN_FLIGHT;
        self.windows.borrow_mut().push((from.checked_sub(IN_FLIGHT).unwrap_or(from), to));
        loop {
            let processes = proc::processes_of(&runner.state);
            let elapsed = from.elapsed();
            if processes.is_empty() {
                self.slowest_end.set(self.slowest_end.get().max(elapsed));
                break;
            }
            if elapsed > PROCESSES_END {
                let number = runner.number;
                self.error(format!(
                    "{PROCESSES_END:?} after a kill of runner {number}: {processes:?} still run"
                ));
                break;
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    fn record(&self, snapshot: Snapshot) {
        for (id, starts) in snapshot.claims {
            let mut recorded = self.starts.borrow_mut();
            let maximum = recorded.entry(id.clone()).or_default();
            *maximum = starts.max(*maximum);
            self.on_disk.borrow_mut().insert(id);
        }
        for (id, body) in snapshot.results {
            self.on_disk.borrow_mut().insert(id.clone());
            let before = self.results_on_disk.borrow_mut().insert(id.clone(), body.clone());
            if before.is_some_and(|before| before != body) {
                self.error(format!("{id}: the result on disk changed between two kills"));
            }
        }
    }

    fn error(&self, line: String) {
        self.errors.borrow_mut().push(line);
    }
}
