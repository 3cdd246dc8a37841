//! What a task came to: the cases that ran, what went wrong, and the verdict that follows.
//!
//! A [`Report`] exists for every claimed task, whatever happened to it.

pub mod junit;

use std::fmt;
use std::time::Duration;

use text::{one_line, shorten_bytes};

/// Bounds on what is kept of a report and on what is sent (the deployed backend's storage limits by default).
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Limits of a result")]
#[group(skip)]
pub struct Limits {
    /// Characters of errorDetails
    #[arg(long, global = true, env = "RUNNER_MAX_ERROR_DETAILS", value_name = "CHARACTERS", default_value = "255", value_parser = text::units::count::<40, 1_000_000>)]
    pub max_error_details: usize,

    /// Bytes of one case's description; head and tail are kept
    #[arg(long, global = true, env = "RUNNER_MAX_DESCRIPTION", value_name = "SIZE", default_value = "16KiB", value_parser = text::units::size)]
    pub max_description: u64,

    /// Cases in one result; those that did not pass are kept first
    #[arg(long, global = true, env = "RUNNER_MAX_CASES", value_name = "COUNT", default_value = "20000", value_parser = text::units::count::<1, 10_000_000>)]
    pub max_cases: usize,

    /// Bytes of the whole body of a result
    #[arg(long, global = true, env = "RUNNER_MAX_BODY", value_name = "SIZE", default_value = "8MiB", value_parser = text::units::kibibyte)]
    pub max_body: u64,

    /// Size of the largest report file that is read
    #[arg(long, global = true, env = "RUNNER_MAX_REPORT", value_name = "SIZE", default_value = "1GiB", value_parser = text::units::size)]
    pub max_report: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_error_details: 255,
            max_description: 16 << 10,
            max_cases: 20_000,
            max_body: 8 << 20,
            max_report: 1 << 30,
        }
    }
}

/// The name of a case that its report gives none.
pub const UNNAMED: &str = "(unnamed)";

/// Bytes of a case's name.
const LONGEST_NAME: usize = 1 << 10;

/// A case's name by the two that its tool gives it: `class::name`, without a leading `tests.`.
pub fn case_name(class: &str, name: &str) -> String {
    let (class, name) = (one_line(class), one_line(name));
    let (class, name) = (class.trim(), name.trim());
    let name = if name.is_empty() { UNNAMED } else { name };
    let full = match class.strip_prefix("tests.").unwrap_or(class) {
        "" => name.to_owned(),
        class => format!("{class}::{name}"),
    };
    if full.len() > LONGEST_NAME { shorten_bytes(&full, LONGEST_NAME).into_owned() } else { full }
}

/// What one test case came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran and held.
    Passed,
    /// It ran and did not hold.
    Failed,
    /// The test itself broke.
    Errored,
    /// It did not run; something it depends on failed.
    Skipped,
}

/// One test case, in report order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// `classname` without a leading `tests.`, then `::`, then the case's name.
    pub name: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Message and text of what went wrong; empty when it passed.
    pub description: String,
    /// Its own time.
    pub duration: Duration,
    /// Peak memory in bytes, where it was measured.
    pub memory: Option<u64>,
}

/// How many cases came to what, over all cases of the report, kept or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases that passed.
    pub passed: u64,
    /// Cases that failed.
    pub failed: u64,
    /// Cases that broke.
    pub errored: u64,
    /// Cases that did not run.
    pub skipped: u64,
    /// Tests that a suite counts in its attributes without listing a case; they have not passed.
    pub unlisted: u64,
}

impl Tally {
    /// Adds a case.
    pub fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Errored => &mut self.errored,
            Outcome::Skipped => &mut self.skipped,
        } += 1;
    }

    /// All tests that the report speaks of.
    pub fn total(&self) -> u64 {
        // `unlisted` is whatever number a report says: a sum that wraps around could make a pass of a failure.
        (self.passed + self.failed + self.errored + self.skipped).saturating_add(self.unlisted)
    }
}

/// Where on a task's way something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The claim as it came from the backend.
    Claim,
    /// Getting the student's repository.
    Checkout,
    /// Getting the suite and its environment.
    Prepare,
    /// Running the suite.
    Execute,
    /// Reading the suite's report.
    Report,
}

impl Progress {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Claim, Self::Checkout, Self::Prepare, Self::Execute, Self::Report];

    /// The one word for it, in logs and metrics too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Checkout => "checkout",
            Self::Prepare => "prepare",
            Self::Execute => "execute",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who or what is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The task as asked for cannot be run: a branch that is not there, a name that selects nothing.
    Task,
    /// The student's program.
    Program,
    /// The test suite or its environment.
    Suite,
    /// Network, disk, the runner itself: worth another try.
    Infrastructure,
    /// A limit of this runner: time, size.
    Limit,
    /// The runner was told to stop.
    Interruption,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Task, Self::Program, Self::Suite, Self::Infrastructure, Self::Limit, Self::Interruption];

    /// The one word for it, in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Program => "program",
            Self::Suite => "suite",
            Self::Infrastructure => "infrastructure",
            Self::Limit => "limit",
            Self::Interruption => "interruption",
        }
    }
}

/// A run that went wrong: where, who is to blame, and a sentence for the person who reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Where it happened.
    pub progress: Progress,
    /// Who is to blame.
    pub cause: Cause,
    /// What happened, in one sentence, without secrets.
    pub message: String,
}

impl Fault {
    /// A fault of `cause` at `progress`.
    pub fn new(progress: Progress, cause: Cause, message: impl Into<String>) -> Self {
        Self { progress, cause, message: message.into() }
    }
}

/// The answer to a task, before it becomes a body for the backend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The cases, in report order, within [`Limits::max_cases`].
    pub cases: Vec<Case>,
    /// Counts over all cases.
    pub tally: Tally,
    /// The suite's own time; wall time since the claim where the run itself went wrong.
    pub duration: Duration,
    /// What went wrong with the run itself.
    pub fault: Option<Fault>,
    /// What is not among `cases`, in one sentence for people: left out by the limits, or never listed.
    pub cut: Option<String>,
    /// How many of how many tests had ended, where that was told while they ran.
    pub finished: Option<(u64, u64)>,
    /// Listed cases that had not finished when the run was stopped.
    pub unfinished: u64,
    /// How the suite itself ended: `exit code 1`, `signal 9 (SIGKILL)`.
    pub exit: Option<String>,
    /// The limits that the run hit, in words.
    pub limits: Vec<String>,
    /// Processor time of everything that ran, where it was measured.
    pub cpu: Option<Duration>,
    /// The highest use of memory in bytes, where it was measured for the run as a whole.
    pub memory: Option<u64>,
}

/// What the backend derives from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At least one test ran and all passed.
    Success,
    /// Some test did not pass.
    Failure,
    /// The run itself went wrong, or a test broke.
    Error,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Error];

    /// As the backend names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Report {
    /// The report of a run that came to nothing but `fault`.
    pub fn of_fault(fault: Fault, wall: Duration) -> Self {
        Self { fault: Some(fault), duration: wall, ..Self::default() }
    }

    /// Leaves the cases that one of `names` selects, as `-k` does: where it is a part of the case's name, upper and
    /// lower case alike.
    pub fn select(&mut self, names: &[String]) {
        let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let bad = |cases: &[Case]| cases.iter().filter(|case| case.outcome != Outcome::Passed).count() as u64;
        // What did not pass and is not in the list, for the limits or the suite left it out, cannot be told apart by name.
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

    /// The highest use of memory in bytes that is known: of the run, else of a case.
    pub fn memory_peak(&self) -> Option<u64> {
        self.memory.or_else(|| self.cases.iter().filter_map(|case| case.memory).max())
    }

    /// The verdict: an error of the run or of a case, else success only where tests ran and all passed.
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
