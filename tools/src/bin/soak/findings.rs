//! Checks every result against the expected one, and counts.

use std::collections::HashMap;
use std::fmt::Write as _;

use mock_backend::{Attempt, MockBackend, TaskId};

use crate::kills::{IN_FLIGHT, Kills};
use crate::runner::Runner;
use crate::students::Behavior;

/// Part of `errorDetails` for a task during which the runner died too often, as the runner's documentation describes it.
const DIED_TWICE: &str = "the runner died 2 times";

/// A task that was started this often without a result is answered with an error at the next start.
const MAX_STARTS: u32 = 2;

/// Limit of the memory growth from the second to the last quarter of the longest-lived process, in KiB.
const MAX_GROWTH_KIB: u64 = 6 * 1024;

/// Limit of additional descriptors of an idle runner after the tasks without kills. Only idle moments are comparable: four
/// running tasks need twenty more. The connection pool varies by a few; a leak with each task or fault exceeds the limit.
const MAX_NEW_DESCRIPTORS: u64 = 8;

/// Number of memory samples that are needed to check for growth.
const MIN_SAMPLES: usize = 40;

/// Number of errors that the summary shows.
const SHOWN_ERRORS: usize = 40;

/// The counts and errors of a soak.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    tasks: usize,
    expected: usize,
    died_twice: usize,
    in_flight: usize,
    duplicates: usize,
    differing: usize,
    on_disk: usize,
    delivered: usize,
    growth: Vec<String>,
    /// The failed checks, one line each.
    pub(crate) errors: Vec<String>,
}

impl Findings {
    /// Checks all attempts. `resubmitted` contains the lost tasks, which were submitted again under another id.
    pub(crate) fn check(
        backend: &MockBackend,
        kills: &Kills,
        behaviors: &HashMap<TaskId, Behavior>,
        resubmitted: &[TaskId],
    ) -> Self {
        let mut findings = Self::default();
        for attempt in backend.attempts() {
            let Some((id, behavior)) = attempt.id.as_ref().and_then(|id| behaviors.get_key_value(id)) else {
                continue;
            };
            if attempt.result.is_none() && resubmitted.contains(id) {
                findings.in_flight += 1;
                continue;
            }
            findings.tasks += 1;
            findings.check_attempt(&attempt, id, *behavior, kills);
        }
        for (id, body) in kills.results_on_disk.borrow().iter() {
            findings.on_disk += 1;
            let delivered = backend.result_of(id).map(|stored| stored.body);
            if delivered.is_some_and(|delivered| delivered == body) {
                findings.delivered += 1;
            } else {
                findings.error(format!("{id}: the result on disk at a kill was not delivered byte for byte"));
            }
        }
        // Tasks lost in flight must stay rare; otherwise they hide claims that are written to disk too late.
        if findings.in_flight > kills.count() / 10 + 2 {
            findings.error(format!("{} claims in flight at {} kills", findings.in_flight, kills.count()));
        }
        for violation in backend.violations() {
            findings.error(format!("contract violation: {}", violation.description));
        }
        findings.errors.extend(kills.errors.borrow_mut().drain(..));
        findings
    }

    fn check_attempt(&mut self, attempt: &Attempt, id: &TaskId, behavior: Behavior, kills: &Kills) {
        let Some(stored) = &attempt.result else {
            let disk =
                if kills.on_disk.borrow().contains(id) { "on disk at a kill" } else { "never on disk" };
            let kill = attempt.claimed.and_then(|claimed| kills.next_kill(claimed));
            let kill = kill.map_or("no kill after the claim".to_owned(), |after| {
                format!("killed {after:?} after the claim")
            });
            return self.error(format!("{id}: {behavior:?} is LOST ({}, {disk}, {kill})", attempt.status));
        };
        self.duplicates += stored.deliveries - 1;
        if stored.versions.len() > 1 {
            self.differing += 1;
            self.error(format!("{id}: {} different results", stored.versions.len()));
        }
        let details = &stored.result.error_details;
        let died_twice = kills.starts.borrow().get(id).is_some_and(|starts| *starts >= MAX_STARTS);
        let (status, part) = behavior.expected();
        if died_twice && stored.result.is_error && details.contains(DIED_TWICE) {
            self.died_twice += 1;
        } else if !died_twice && attempt.status == status && details.contains(part) {
            self.expected += 1;
        } else {
            let deaths = if died_twice { " (the runner died twice)" } else { "" };
            self.error(format!(
                "{id}: WRONG result for {behavior:?}{deaths}: {} {details:?}",
                attempt.status
            ));
        }
    }

    /// Compares the memory in the second and the last quarter of the longest-lived process of `runner`.
    pub(crate) fn check_memory_growth(&mut self, runner: &Runner) {
        let samples = runner.longest_memory_samples();
        let Some((first, last)) = quarters(&samples) else {
            let line = format!(
                "runner {}: no process lived long enough to measure memory growth ({} samples)",
                runner.number,
                samples.len()
            );
            return self.growth.push(line);
        };
        let (before, after) = (median(first), median(last));
        let line = format!("runner {}: memory {before} -> {after} KiB", runner.number);
        if after > before + MAX_GROWTH_KIB {
            self.error(format!("growth of {line}"));
        }
        self.growth.push(line);
    }

    /// Compares the idle descriptors of runner `number` before and after the tasks without kills.
    pub(crate) fn check_descriptors(&mut self, number: usize, before: Option<u64>, after: Option<u64>) {
        let (Some(before), Some(after)) = (before, after) else {
            return self.growth.push(format!("runner {number}: descriptors not visible to this user"));
        };
        let line = format!("runner {number}: idle descriptors {before} -> {after}");
        if after > before + MAX_NEW_DESCRIPTORS {
            self.error(format!("growth of {line}"));
        }
        self.growth.push(line);
    }

    /// Adds a failed check.
    pub(crate) fn error(&mut self, line: String) {
        self.errors.push(line);
    }

    /// The counts and errors as text.
    pub(crate) fn summary(&self, kills: &Kills) -> String {
        let mut text = format!(
            "correct results          {} of {}: {} as expected, {} because the runner died twice during the task\n\
             lost in flight           {} (claimed within {IN_FLIGHT:?} of a kill, not on disk; submitted again)\n\
             duplicate results        {}, tasks with different results {}\n\
             results on disk at kills {}, delivered byte for byte {}\n\
             slowest end of processes after a kill {:?}\n",
            self.expected + self.died_twice,
            self.tasks,
            self.expected,
            self.died_twice,
            self.in_flight,
            self.duplicates,
            self.differing,
            self.on_disk,
            self.delivered,
            kills.slowest_end.get(),
        );
        for line in &self.growth {
            let _ = writeln!(text, "{line}");
        }
        for line in self.errors.iter().take(SHOWN_ERRORS) {
            let _ = writeln!(text, "ERROR {line}");
        }
        if self.errors.len() > SHOWN_ERRORS {
            let _ = writeln!(text, "ERROR … and {} more", self.errors.len() - SHOWN_ERRORS);
        }
        text + if self.errors.is_empty() { "soak passed: nothing lost, wrong or left" } else { "soak FAILED" }
    }
}

/// The second and the last quarter of the samples; caches and allocator fill in the first. `None` for too few samples.
fn quarters(samples: &[u64]) -> Option<(&[u64], &[u64])> {
    let quarter = samples.len() / 4;
    (samples.len() >= MIN_SAMPLES)
        .then(|| (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]))
}

fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or(0)
}
