//! What came of it all: each answer against the truth, and the counts.

use std::collections::HashMap;
use std::fmt::Write as _;

use mock_backend::{Attempt, MockBackend, TaskId};

use crate::fleet::Runner;
use crate::samples::Kind;
use crate::strikes::Strikes;

/// What the runner says of a claim on which it died too often, as its README documents.
const DIED_TWICE: &str = "the runner died 2 times";

/// A run of a claim that has begun so often and is still there is answered with an error at the next start.
const MOST_STARTS: u32 = 2;

/// The most that a runner's memory may grow from the first to the last part of its longest life.
const MOST_GROWTH_KIB: u64 = 6 * 1024;

/// The most descriptors that a runner at rest may have more after the last lap than before it. Only rest compares: with
/// four tasks in hand it has twenty more. A pool of connections breathes; one that leaks with each task, or with each
/// fault, is far above it.
const MOST_NEW_DESCRIPTORS: u64 = 8;

/// Fewer samples say nothing about growth.
const FEWEST_SAMPLES: usize = 40;

/// The counts of a run.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    tasks: usize,
    right: usize,
    died_twice: usize,
    in_flight: usize,
    duplicates: usize,
    differing: usize,
    kept: usize,
    delivered: usize,
    growth: Vec<String>,
    /// What should not be, a line each.
    pub(crate) faults: Vec<String>,
}

impl Findings {
    /// Looks at every attempt. `kinds` knows the tasks, `resubmitted` those that were handed in once more.
    pub(crate) fn of(
        backend: &MockBackend,
        strikes: &Strikes,
        kinds: &HashMap<TaskId, Kind>,
        resubmitted: &[TaskId],
    ) -> Self {
        let mut findings = Self::default();
        for attempt in backend.attempts() {
            let Some((id, kind)) = attempt.id.as_ref().and_then(|id| kinds.get_key_value(id)) else {
                continue;
            };
            findings.tasks += 1;
            if attempt.result.is_none() && resubmitted.contains(id) {
                findings.in_flight += 1;
                findings.tasks -= 1;
                continue;
            }
            findings.judge(&attempt, id, *kind, strikes);
        }
        for (id, body) in strikes.kept.borrow().iter() {
            findings.kept += 1;
            let delivered = backend.result_of(id).map(|stored| stored.body);
            if delivered.is_some_and(|delivered| delivered == body) {
                findings.delivered += 1;
            } else {
                findings
                    .fault(format!("{id}: its result was on disk at a kill, but these bytes did not come"));
            }
        }
        // The excuse must stay a rare one, or it hides a claim that is written down too late.
        if findings.in_flight > strikes.kills() / 10 + 2 {
            findings.fault(format!("{} claims in flight at {} kills", findings.in_flight, strikes.kills()));
        }
        for violation in backend.violations() {
            findings.fault(format!("against the contract: {}", violation.what));
        }
        findings.faults.extend(strikes.faults.borrow_mut().drain(..));
        findings
    }

    fn judge(&mut self, attempt: &Attempt, id: &TaskId, kind: Kind, strikes: &Strikes) {
        let Some(stored) = &attempt.result else {
            let place =
                if strikes.on_disk.borrow().contains(id) { "on disk at a kill" } else { "never on disk" };
            let kill = attempt.claimed.and_then(|claimed| strikes.next_kill(claimed));
            let kill = kill
                .map_or("no kill after it".to_owned(), |after| format!("a kill {after:?} after its claim"));
            return self.fault(format!("{id}: {kind:?} is LOST ({}, {place}, {kill})", attempt.status));
        };
        self.duplicates += stored.times - 1;
        if stored.versions.len() > 1 {
            self.differing += 1;
            self.fault(format!("{id}: {} answers that differ", stored.versions.len()));
        }
        let details = &stored.result.error_details;
        let died_twice = strikes.starts.borrow().get(id).is_some_and(|starts| *starts >= MOST_STARTS);
        let (status, words) = kind.truth();
        if died_twice && stored.result.is_error && details.contains(DIED_TWICE) {
            self.died_twice += 1;
        } else if !died_twice && attempt.status == status && details.contains(words) {
            self.right += 1;
        } else {
            let deaths = if died_twice { ", on which the runner died twice," } else { "" };
            self.fault(format!("{id}: {kind:?}{deaths} was answered WRONG: {} {details:?}", attempt.status));
        }
    }

    /// Compares the first with the last part of the longest life of `runner`.
    pub(crate) fn judge_growth(&mut self, runner: &Runner) {
        let samples = runner.longest_life();
        let Some((first, last)) = parts(&samples) else {
            let line =
                format!("runner {}: no life long enough to tell ({} samples)", runner.number, samples.len());
            return self.growth.push(line);
        };
        let (before, after) = (median(first), median(last));
        let line = format!("runner {}: memory {before} -> {after} KiB", runner.number);
        if after > before + MOST_GROWTH_KIB {
            self.fault(format!("growth of {line}"));
        }
        self.growth.push(line);
    }

    /// Compares the descriptors of runner `number` at rest before the last lap with those after it.
    pub(crate) fn judge_descriptors(&mut self, number: usize, before: Option<u64>, after: Option<u64>) {
        let (Some(before), Some(after)) = (before, after) else {
            return self.growth.push(format!("runner {number}: descriptors not visible to this user"));
        };
        let line = format!("runner {number}: descriptors at rest {before} -> {after}");
        if after > before + MOST_NEW_DESCRIPTORS {
            self.fault(format!("growth of {line}"));
        }
        self.growth.push(line);
    }

    /// Adds a line to what should not be.
    pub(crate) fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// The counts, for people.
    pub(crate) fn table(&self, strikes: &Strikes) -> String {
        let wrong = self.faults.len();
        let answered = self.right + self.died_twice;
        let mut table = format!(
            "answered with the truth  {answered} of {}: {} by their verdict, {} because the runner died on them twice\n\
             in flight at a kill      {} (handed out within {:?} of it, on no disk; handed in again and counted anew)\n\
             duplicates               {}, with other bytes {}\n\
             results on disk at kills {}, delivered byte for byte {}\n\
             slowest end after a kill {:?}\n",
            self.tasks,
            self.right,
            self.died_twice,
            self.in_flight,
            crate::strikes::IN_FLIGHT,
            self.duplicates,
            self.differing,
            self.kept,
            self.delivered,
            strikes.slowest_end.get(),
        );
        for line in &self.growth {
            let _ = writeln!(table, "{line}");
        }
        for line in self.faults.iter().take(40) {
            let _ = writeln!(table, "FAULT {line}");
        }
        if wrong > 40 {
            let _ = writeln!(table, "FAULT … and {} more", wrong - 40);
        }
        table + if wrong == 0 { "nothing lost, nothing wrong, nothing left" } else { "THE SOAK HAS FAILED" }
    }
}

/// The second and the last quarter: in the first one caches and allocator fill.
fn parts(samples: &[u64]) -> Option<(&[u64], &[u64])> {
    let quarter = samples.len() / 4;
    (samples.len() >= FEWEST_SAMPLES)
        .then(|| (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]))
}

fn median(samples: &[u64]) -> u64 {
    let mut samples = samples.to_vec();
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or(0)
}
