//! Kills and stops of the runners, and what their spools showed each time.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use fastrand::Rng;
use mock_backend::TaskId;
use tokio::time::sleep;

use crate::fleet::Runner;
use crate::processes;
use crate::spool::Snapshot;

/// From the backend's answer to the claim on disk there is one network hop and two `fsync`s. What was claimed this
/// long before a kill, or after it by a question that the dead runner had asked, may be on no disk; nobody could help.
pub(crate) const IN_FLIGHT: Duration = Duration::from_millis(50);

/// How long a runner may take until it listens for signals.
const LISTENS: Duration = Duration::from_secs(2);

/// How long a runner that was told to stop may take: its drain, and the delivery of what waits.
const STOP: Duration = Duration::from_secs(90);

/// How long the processes of a killed runner have to go away before it counts as a fault. The promise is a second;
/// the rest is for a machine that is busy with everything else that the soak does.
const GONE: Duration = Duration::from_secs(3);

/// What the strikes have shown.
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    /// Times of kills, widened by [`IN_FLIGHT`].
    windows: RefCell<Vec<(Instant, Instant)>>,
    /// Ids that were on disk at a kill: no excuse holds for them.
    pub(crate) on_disk: RefCell<HashSet<TaskId>>,
    /// For the claims that a kill met: how often a run had begun by then, at most.
    pub(crate) starts: RefCell<HashMap<TaskId, u32>>,
    /// Results that were on disk at a kill.
    pub(crate) kept: RefCell<HashMap<TaskId, Vec<u8>>>,
    /// SIGTERMs.
    pub(crate) stops: Cell<usize>,
    /// The longest that a process of a killed runner lived on.
    pub(crate) slowest_end: Cell<Duration>,
    /// What should not be.
    pub(crate) faults: RefCell<Vec<String>>,
}

impl Strikes {
    /// Strikes one of the two every few seconds until `over`: the first one until `half`, then the second one, so that
    /// each has a time without kills that is long enough to measure. All are up on return.
    pub(crate) async fn strike(
        &self,
        runners: &[Runner; 2],
        random: &mut Rng,
        half: &Cell<bool>,
        over: &Cell<bool>,
    ) -> Result<(), String> {
        while !over.get() {
            sleep(Duration::from_millis(random.u64(1_000..4_000))).await;
            let runner = &runners[usize::from(half.get())];
            if random.u32(..8) == 0 {
                self.stop(runner).await;
                runner.start()?;
                continue;
            }
            self.kill(runner).await;
            sleep(Duration::from_millis(random.u64(..1_000))).await;
            runner.start()?;
            // Now and then in the middle of its recovery.
            if random.u32(..5) == 0 {
                sleep(Duration::from_millis(random.u64(1..600))).await;
                self.kill(runner).await;
                runner.start()?;
            }
        }
        // One that has just begun does not listen for signals yet, and is about to be stopped.
        sleep(LISTENS).await;
        Ok(())
    }

    /// How many kills there were.
    pub(crate) fn kills(&self) -> usize {
        self.windows.borrow().len()
    }

    /// Whether a claim that was handed out at this moment may have been in flight to a runner that was just killed.
    pub(crate) fn in_flight(&self, claimed: Instant) -> bool {
        self.windows.borrow().iter().any(|(from, to)| (*from..=*to).contains(&claimed))
    }

    /// How long after this moment the next kill came: tells a slow disk from a claim that was never written down.
    pub(crate) fn next_kill(&self, claimed: Instant) -> Option<Duration> {
        let windows = self.windows.borrow();
        windows.iter().filter_map(|(from, _)| (*from + IN_FLIGHT).checked_duration_since(claimed)).min()
    }

    /// Stops a runner as an administrator does; it must end by itself, with code 0.
    pub(crate) async fn stop(&self, runner: &Runner) {
        self.stops.set(self.stops.get() + 1);
        match runner.stop(STOP).await {
            Some(status) if status.success() => {}
            Some(status) => self.fault(format!("runner {} stopped with {status}", runner.number)),
            None => self.fault(format!("runner {} did not stop within {STOP:?}", runner.number)),
        }
    }

    async fn kill(&self, runner: &Runner) {
        let from = Instant::now();
        runner.kill();
        self.note(Snapshot::of(&runner.state));
        // The backend serves in this thread: what the dead one had asked was perhaps not answered yet.
        let to = Instant::now() + IN_FLIGHT;
        self.windows.borrow_mut().push((from.checked_sub(IN_FLIGHT).unwrap_or(from), to));
        loop {
            let left = processes::of(&runner.state);
            let waited = from.elapsed();
            if left.is_empty() {
                self.slowest_end.set(self.slowest_end.get().max(waited));
                break;
            }
            if waited > GONE {
                self.fault(format!("{GONE:?} after a kill of runner {} there lives {left:?}", runner.number));
                break;
            }
            sleep(Duration::from_millis(25)).await;
        }
    }

    fn note(&self, snapshot: Snapshot) {
        for (id, starts) in snapshot.claims {
            let mut known = self.starts.borrow_mut();
            let most = known.entry(id.clone()).or_default();
            *most = starts.max(*most);
            self.on_disk.borrow_mut().insert(id);
        }
        for (id, body) in snapshot.results {
            self.on_disk.borrow_mut().insert(id.clone());
            let before = self.kept.borrow_mut().insert(id.clone(), body.clone());
            if before.is_some_and(|before| before != body) {
                self.fault(format!("the kept result of {id} changed between two kills"));
            }
        }
    }

    fn fault(&self, what: String) {
        self.faults.borrow_mut().push(what);
    }
}
