//! The report of a task.

use std::time::Duration;

use crate::{Case, Fault, Outcome, Tally, Verdict};

/// Result of a task, before it becomes a body for the backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The cases, in report order, at most [`max_cases`](crate::Limits::max_cases).
    pub cases: Vec<Case>,
    /// Counts over all cases.
    pub tally: Tally,
    /// Run time of the suite; for a failed run the wall time since the claim.
    pub duration: Duration,
    /// The fault of a failed run.
    pub fault: Option<Fault>,
    /// One sentence about tests that are not in `cases`, because the limits left them out or the report only counts them.
    pub cut: Option<String>,
    /// How many tests had finished, and of how many, where the plugin reported it while they ran.
    pub finished: Option<(u64, u64)>,
    /// Number of cases that are listed but had not finished when the run was stopped.
    pub unfinished: u64,
    /// How the suite's process ended: `exit code 1`, `signal 9 (SIGKILL)`.
    pub exit: Option<String>,
    /// The limits that the run hit, in words.
    pub limits: Vec<String>,
    /// Processor time of all processes of the run, where it was measured.
    pub cpu: Option<Duration>,
    /// Peak of memory of the whole run in bytes, where it was measured.
    pub memory: Option<u64>,
}

impl Report {
    /// The report of a run that failed with `fault` after `wall` and has no cases.
    pub fn of_fault(fault: Fault, wall: Duration) -> Self {
        Self { fault: Some(fault), duration: wall, ..Self::default() }
    }

    /// Keeps the cases that one of `names` selects as pytest's `-k` does: the name is a part of the case's name, without
    /// regard to upper and lower case.
    pub fn select(&mut self, names: &[String]) {
        let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let bad = |cases: &[Case]| cases.iter().filter(|case| case.outcome != Outcome::Passed).count() as u64;
        // Failures that the limits or the suite left out have no name here, so that they count for every selection.
        let hidden = (self.tally.total() - self.tally.passed).saturating_sub(bad(&self.cases));
        self.cases.retain(|case| {
            let case = case.name.to_lowercase();
            names.iter().any(|name| case.contains(name.as_str()))
        });
        self.tally = Tally { unlisted: hidden, ..Tally::default() };
        for case in &self.cases {
            self.tally.count(case.outcome);
        }
    }

    /// Peak of memory in bytes: of the run where it was measured, else of the largest case.
    pub fn memory_peak(&self) -> Option<u64> {
        self.memory.or_else(|| self.cases.iter().filter_map(|case| case.memory).max())
    }

    /// The verdict: error where the run or a case has an error, success where tests ran and all passed, else failure.
    pub fn verdict(&self) -> Verdict {
        let tally = &self.tally;
        if self.fault.is_some() || tally.errored > 0 {
            Verdict::Error
        } else if tally.passed > 0 && tally.passed == tally.total() {
            Verdict::Success
        } else {
            Verdict::Failure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[Outcome], unlisted: u64) -> Report {
        let case = |(number, &outcome)| Case {
            name: format!("a::test_{number}"),
            outcome,
            description: String::new(),
            duration: Duration::ZERO,
            memory: None,
        };
        let mut tally = Tally { unlisted, ..Tally::default() };
        for &outcome in outcomes {
            tally.count(outcome);
        }
        Report { cases: outcomes.iter().enumerate().map(case).collect(), tally, ..Report::default() }
    }

    #[test]
    fn claimed_counts_never_turn_failure_into_pass() {
        use Outcome::{Failed, Passed};
        assert_eq!(report(&[Passed], 0).verdict(), Verdict::Success);
        for unlisted in [1, u64::MAX, u64::MAX - 1] {
            assert_eq!(report(&[Passed], unlisted).verdict(), Verdict::Failure);
            assert_eq!(report(&[Passed, Failed], unlisted).verdict(), Verdict::Failure);
        }
        assert_eq!(report(&[], 0).verdict(), Verdict::Failure);
    }

    #[test]
    fn selection_counts_hidden_failures() {
        use Outcome::{Failed, Passed};
        let select = |mut report: Report, name: &str| {
            report.select(&[name.to_owned()]);
            (report.cases.len(), report.verdict())
        };
        assert_eq!(select(report(&[Passed, Failed], 0), "TEST_0"), (1, Verdict::Success));
        assert_eq!(select(report(&[Passed, Failed], 0), "test_1"), (1, Verdict::Failure));
        assert_eq!(select(report(&[Passed, Failed], 3), "test_0"), (1, Verdict::Failure));
        let mut cut = report(&[Passed, Failed], 0);
        cut.cases.pop();
        assert_eq!(select(cut, "test_0"), (1, Verdict::Failure), "a failure that the limits left out");
    }
}
