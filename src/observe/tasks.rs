//! The running tasks, and the last finished ones.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

/// How many finished tasks are kept.
const MAX_FINISHED: usize = 50;

/// The tasks of this process.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    next_key: u64,
    running: BTreeMap<u64, RunningTask>,
    finished: VecDeque<FinishedTask>,
}

/// A running task.
#[derive(Debug, Clone)]
pub struct RunningTask {
    /// Its id, shortened as in the log.
    pub id: String,
    /// When it was claimed, by the wall clock.
    pub taken_at: SystemTime,
    /// When it was claimed, by the monotonic clock.
    pub taken: Instant,
    /// Its position: `claim`, the name of a [`report::Progress`], or `spool` while its result is stored.
    pub progress: &'static str,
    /// When it entered that position.
    pub since: Instant,
    /// The positions behind it with the time spent in each.
    pub times: Vec<(&'static str, Duration)>,
}

/// A task that has a result.
#[derive(Debug, Clone)]
pub struct FinishedTask {
    /// Its id, shortened as in the log.
    pub id: String,
    /// When it was claimed, by the wall clock.
    pub taken_at: SystemTime,
    /// Time from the claim to the result.
    pub elapsed: Duration,
    /// The positions that it passed with the time spent in each.
    pub times: Vec<(&'static str, Duration)>,
    /// `SUCCESS`, `FAILURE` or `ERROR`.
    pub verdict: &'static str,
    /// Number of tests that passed.
    pub passed: u64,
    /// Number of all tests.
    pub tests: u64,
    /// Progress, cause and message of the fault.
    pub fault: Option<(&'static str, &'static str, String)>,
    /// How the suite's process ended; `None` where it did not run.
    pub exit: Option<String>,
    /// The limits that it hit, in words.
    pub limits: Vec<String>,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Peak of memory, in bytes.
    pub memory: Option<u64>,
    /// State of its delivery.
    pub delivery: Delivery,
}

/// State of the delivery of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The result waits in the spool.
    Waits,
    /// The backend accepted it, this long after the result was there.
    Accepted(Duration),
    /// The backend refused it for good, with this HTTP status.
    Rejected(u16),
}

impl Tasks {
    /// Adds a running task and returns its key.
    pub(super) fn start(&mut self, task: RunningTask) -> u64 {
        self.next_key += 1;
        self.running.insert(self.next_key, task);
        self.next_key
    }

    /// The running task with `key`.
    pub(super) fn get(&mut self, key: u64) -> Option<&mut RunningTask> {
        self.running.get_mut(&key)
    }

    /// Removes the running task with `key`.
    pub(super) fn remove(&mut self, key: u64) {
        self.running.remove(&key);
    }

    /// Keeps a finished task, and forgets the oldest one of more than 50.
    pub(super) fn finish(&mut self, task: FinishedTask) {
        if self.finished.len() == MAX_FINISHED {
            self.finished.pop_front();
        }
        self.finished.push_back(task);
    }

    /// The running tasks, in the order of their claims.
    pub(super) fn running(&self) -> Vec<RunningTask> {
        self.running.values().cloned().collect()
    }

    /// The finished tasks, newest first.
    pub(super) fn finished(&self) -> Vec<FinishedTask> {
        self.finished.iter().rev().cloned().collect()
    }

    /// Sets the delivery of task `id`. Does nothing for a task of an earlier process, which is not in the list.
    pub(super) fn delivered(&mut self, id: &str, delivery: Delivery) {
        let waits = |task: &&mut FinishedTask| task.id == id && task.delivery == Delivery::Waits;
        if let Some(task) = self.finished.iter_mut().find(waits) {
            task.delivery = delivery;
        }
    }
}
