//! What is being worked on, and the last tasks that have a result.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use super::{Observe, lock};
use report::{Progress, Report};
use text::{shorten, without_secrets};

/// As many are remembered.
const REMEMBERED: usize = 50;

/// The longest text of a fault that is remembered.
const LONGEST: usize = 500;

/// The tasks of this run.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    next: u64,
    working: BTreeMap<u64, Working>,
    ended: VecDeque<Ended>,
}

/// A task that is being worked on.
#[derive(Debug, Clone)]
pub struct Working {
    /// Its id, as in the log.
    pub id: String,
    /// When it was taken.
    pub taken_at: SystemTime,
    /// The same for counting.
    pub taken: Instant,
    /// Where it is on its way: `claim`, the name of a progress, or `spool` while its result is written down.
    pub progress: &'static str,
    /// Since when.
    pub since: Instant,
    /// The times behind it and how long each took.
    pub times: Vec<(&'static str, Duration)>,
}

/// A task that has a result.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its id, as in the log.
    pub id: String,
    /// When it was taken.
    pub taken_at: SystemTime,
    /// From then to its result.
    pub took: Duration,
    /// The times and how long each took.
    pub times: Vec<(&'static str, Duration)>,
    /// `SUCCESS`, `FAILURE` or `ERROR`.
    pub verdict: &'static str,
    /// Tests that passed, and all.
    pub passed: (u64, u64),
    /// Progress, cause and text of what went wrong with the run.
    pub fault: Option<(&'static str, &'static str, String)>,
    /// How the suite itself ended, where it ran.
    pub exit: Option<String>,
    /// The limits that it hit, in words.
    pub limits: Vec<String>,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Highest use of memory in bytes.
    pub memory: Option<u64>,
    /// What has become of the result.
    pub delivery: Delivery,
}

/// What has become of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It waits in the spool.
    Waits,
    /// The backend has it, after this long.
    Accepted(Duration),
    /// The backend has refused it with this status.
    Rejected(u16),
}

impl Tasks {
    pub(super) fn working(&self) -> Vec<Working> {
        self.working.values().cloned().collect()
    }

    pub(super) fn ended(&self) -> Vec<Ended> {
        self.ended.iter().rev().cloned().collect()
    }

    /// A result of an earlier run has no entry.
    pub(super) fn delivered(&mut self, id: &str, delivery: Delivery) {
        let waits = |ended: &&mut Ended| ended.id == id && ended.delivery == Delivery::Waits;
        if let Some(ended) = self.ended.iter_mut().find(waits) {
            ended.delivery = delivery;
        }
    }
}

/// A task that is being worked on, as long as this value lives.
#[derive(Debug)]
pub struct Watched {
    observe: Observe,
    key: u64,
}

impl Watched {
    pub(super) fn new(observe: Observe, id: String) -> Self {
        let now = Instant::now();
        let taken_at = SystemTime::now();
        let mut tasks = lock(&observe.0.tasks);
        tasks.next += 1;
        let key = tasks.next;
        let working = Working { id, taken_at, taken: now, progress: "claim", since: now, times: Vec::new() };
        tasks.working.insert(key, working);
        drop(tasks);
        observe.0.news.notify_one();
        Self { observe, key }
    }

    /// It has come to `progress`.
    pub fn progress(&self, progress: Progress) {
        self.enter(progress.name());
    }

    /// It has come to this result, which is to be written down.
    pub fn done(&self, report: &Report) {
        self.enter("spool");
        let mut tasks = lock(&self.observe.0.tasks);
        let Some(working) = tasks.working.get(&self.key).cloned() else { return };
        let fault = report.fault.as_ref().map(|fault| {
            let message = shorten(&without_secrets(&fault.message), LONGEST).into_owned();
            (fault.progress.name(), fault.cause.name(), message)
        });
        let took = working.taken.elapsed();
        if tasks.ended.len() == REMEMBERED {
            tasks.ended.pop_front();
        }
        tasks.ended.push_back(Ended {
            id: working.id,
            taken_at: working.taken_at,
            took,
            times: working.times,
            verdict: report.verdict().name(),
            passed: (report.tally.passed, report.tally.total()),
            fault,
            exit: report.exit.clone(),
            limits: report.limits.clone(),
            cpu: report.cpu,
            memory: report.memory_peak(),
            delivery: Delivery::Waits,
        });
        drop(tasks);
        self.observe.result(report, took);
    }

    fn enter(&self, progress: &'static str) {
        let mut tasks = lock(&self.observe.0.tasks);
        let Some(working) = tasks.working.get_mut(&self.key) else { return };
        let (before, took) = (working.progress, working.since.elapsed());
        working.times.push((before, took));
        (working.progress, working.since) = (progress, Instant::now());
        drop(tasks);
        self.observe.0.news.notify_one();
        self.observe.progress_ended(before, took);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        lock(&self.observe.0.tasks).working.remove(&self.key);
        self.observe.0.news.notify_one();
    }
}
