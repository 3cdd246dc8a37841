//! Follows one running task.

use std::time::{Instant, SystemTime};

use report::{Progress, Report};
use text::{shorten, without_secrets};

use super::handle::{Observe, lock};
use super::tasks::{Delivery, FinishedTask, RunningTask};

/// Characters of a fault's message that the status keeps.
const MAX_MESSAGE: usize = 500;

/// A running task. It counts as running while this value lives.
#[derive(Debug)]
pub struct TaskWatch {
    observe: Observe,
    key: u64,
}

impl TaskWatch {
    pub(super) fn new(observe: Observe, id: String) -> Self {
        let now = Instant::now();
        let task = RunningTask {
            id,
            taken_at: SystemTime::now(),
            taken: now,
            progress: "claim",
            since: now,
            times: Vec::new(),
        };
        let key = lock(&observe.0.tasks).start(task);
        observe.0.changed.notify_one();
        Self { observe, key }
    }

    /// The task entered `progress`.
    pub fn progress(&self, progress: Progress) {
        self.enter(progress.name());
    }

    /// The task has its result, which the spool stores next. Counts the result and keeps it for the status.
    pub fn done(&self, report: &Report) {
        self.enter("spool");
        let mut tasks = lock(&self.observe.0.tasks);
        let Some(running) = tasks.get(self.key).cloned() else { return };
        let fault = report.fault.as_ref().map(|fault| {
            let message = shorten(&without_secrets(&fault.message), MAX_MESSAGE).into_owned();
            (fault.progress.name(), fault.cause.name(), message)
        });
        let elapsed = running.taken.elapsed();
        tasks.finish(FinishedTask {
            id: running.id,
            taken_at: running.taken_at,
            elapsed,
            times: running.times,
            verdict: report.verdict().name(),
            passed: report.tally.passed,
            tests: report.tally.total(),
            fault,
            exit: report.exit.clone(),
            limits: report.limits.clone(),
            cpu: report.cpu,
            memory: report.memory_peak(),
            delivery: Delivery::Waits,
        });
        drop(tasks);
        self.observe.0.metrics.observe_result(report, elapsed);
    }

    /// Ends the current progress, counts its time, and begins the next one.
    fn enter(&self, progress: &'static str) {
        let mut tasks = lock(&self.observe.0.tasks);
        let Some(running) = tasks.get(self.key) else { return };
        let (before, elapsed) = (running.progress, running.since.elapsed());
        running.times.push((before, elapsed));
        (running.progress, running.since) = (progress, Instant::now());
        drop(tasks);
        self.observe.0.changed.notify_one();
        self.observe.0.metrics.observe_progress(before, elapsed);
    }
}

impl Drop for TaskWatch {
    fn drop(&mut self) {
        lock(&self.observe.0.tasks).remove(self.key);
        self.observe.0.changed.notify_one();
    }
}
