//! The counts that a suite claims in its attributes.

use text::thousands;

/// Numbers of tests from the attributes of a suite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) tests: u64,
    pub(super) failures: u64,
    pub(super) errors: u64,
    pub(super) skipped: u64,
}

impl Counts {
    /// The sum of both counts.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            tests: self.tests.saturating_add(other.tests),
            failures: self.failures.saturating_add(other.failures),
            errors: self.errors.saturating_add(other.errors),
            skipped: self.skipped.saturating_add(other.skipped),
        }
    }

    /// The larger of each count.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            tests: self.tests.max(other.tests),
            failures: self.failures.max(other.failures),
            errors: self.errors.max(other.errors),
            skipped: self.skipped.max(other.skipped),
        }
    }

    /// Number of all tests, also where the attribute `tests` is too low.
    pub(super) fn total(self) -> u64 {
        self.tests.max(self.failures.saturating_add(self.errors).saturating_add(self.skipped))
    }

    /// The counts of failures and errors alone.
    pub(super) fn bad(self) -> Self {
        let tests = self.failures.saturating_add(self.errors);
        Self { tests, skipped: 0, ..self }
    }

    /// The counts in words: `12 tests (1 failed, 2 broke)`.
    pub(super) fn describe(self) -> String {
        let parts: Vec<String> =
            [(self.failures, "failed"), (self.errors, "broke"), (self.skipped, "skipped")]
                .iter()
                .filter(|(number, _)| *number > 0)
                .map(|(number, what)| format!("{} {what}", thousands(*number)))
                .collect();
        let total =
            format!("{} {}", thousands(self.total()), if self.total() == 1 { "test" } else { "tests" });
        if parts.is_empty() { total } else { format!("{total} ({})", parts.join(", ")) }
    }
}
