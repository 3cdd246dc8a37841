//! Counts of cases by outcome.

use crate::Outcome;

/// Counts over all cases of a report, including those that the limits left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cases that passed.
    pub passed: u64,
    /// Cases that failed.
    pub failed: u64,
    /// Cases that raised an error.
    pub errored: u64,
    /// Cases that did not run.
    pub skipped: u64,
    /// Tests that a suite counts in its attributes without listing a case; they do not count as passed.
    pub unlisted: u64,
}

impl Tally {
    /// Adds a case with this outcome.
    pub fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Passed => &mut self.passed,
            Outcome::Failed => &mut self.failed,
            Outcome::Errored => &mut self.errored,
            Outcome::Skipped => &mut self.skipped,
        } += 1;
    }

    /// Number of all tests in the report, listed or only counted.
    pub fn total(&self) -> u64 {
        // A report can claim any number as `unlisted`; a sum that wraps around could turn a failure into a pass.
        (self.passed + self.failed + self.errored + self.skipped).saturating_add(self.unlisted)
    }
}
