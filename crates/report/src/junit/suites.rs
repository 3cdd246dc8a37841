//! The suites around the cases: their own times, and what they count and do not list.

use std::time::Duration;

use super::attributes::SuiteAttributes;
use text::thousands;

/// What a suite says of itself in its attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) tests: u64,
    pub(super) failures: u64,
    pub(super) errors: u64,
    pub(super) skipped: u64,
}

impl Counted {
    fn plus(self, other: Self) -> Self {
        Self {
            tests: self.tests.saturating_add(other.tests),
            failures: self.failures.saturating_add(other.failures),
            errors: self.errors.saturating_add(other.errors),
            skipped: self.skipped.saturating_add(other.skipped),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            tests: self.tests.max(other.tests),
            failures: self.failures.max(other.failures),
            errors: self.errors.max(other.errors),
            skipped: self.skipped.max(other.skipped),
        }
    }

    /// All tests, also where `tests` forgets some.
    pub(super) fn total(self) -> u64 {
        self.tests.max(self.failures.saturating_add(self.errors).saturating_add(self.skipped))
    }

    /// Only those that failed or broke.
    fn bad(self) -> Self {
        let tests = self.failures.saturating_add(self.errors);
        Self { tests, skipped: 0, ..self }
    }

    /// `12 tests (1 failed, 2 broke)`.
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

/// An open suite, or what a closed one came to.
#[derive(Debug, Default)]
pub(super) struct Suite {
    name: String,
    counted: Counted,
    time: Option<Duration>,
    /// The times of what is in it.
    inner: Duration,
    /// Whether it or a suite in it lists a case.
    lists_cases: bool,
    /// Whether one of those failed or broke.
    lists_bad: bool,
    /// What the suites in it count without listing.
    unlisted: Counted,
}

impl Suite {
    fn duration(&self) -> Duration {
        // A time of 0 around cases that took some was not measured.
        self.time.filter(|time| !time.is_zero()).unwrap_or(self.inner)
    }

    /// What it counts without listing. Attributes of a suite that was cut off speak of cases that may have come.
    fn unlisted(&self, whole: bool) -> Counted {
        match () {
            () if !whole => self.unlisted,
            () if !self.lists_cases => self.counted.max(self.unlisted),
            // Some tools count a test and list it otherwise; but who counts failures has to show one.
            () if !self.lists_bad => self.counted.bad().max(self.unlisted),
            () => self.unlisted,
        }
    }
}

/// What all suites came to.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) duration: Duration,
    pub(super) unlisted: Counted,
}

/// The open suites, outermost first.
#[derive(Debug, Default)]
pub(super) struct Suites {
    open: Vec<Suite>,
    sum: Sum,
}

impl Suites {
    pub(super) fn open(&mut self, attributes: SuiteAttributes) {
        let SuiteAttributes { name, counted, time } = attributes;
        self.open.push(Suite { name, counted, time, ..Suite::default() });
    }

    /// The name of the innermost open suite.
    pub(super) fn name(&self) -> &str {
        self.open.last().map_or("", |suite| &suite.name)
    }

    pub(super) fn add_case(&mut self, time: Duration, bad: bool) {
        if let Some(suite) = self.open.last_mut() {
            suite.lists_cases = true;
            suite.lists_bad |= bad;
            suite.inner = suite.inner.saturating_add(time);
        }
    }

    /// Closes the innermost suite; `whole` is false where the report ended before its end.
    pub(super) fn close(&mut self, whole: bool) {
        let Some(suite) = self.open.pop() else { return };
        let (duration, unlisted) = (suite.duration(), suite.unlisted(whole));
        match self.open.last_mut() {
            Some(outer) => {
                outer.inner = outer.inner.saturating_add(duration);
                outer.lists_cases |= suite.lists_cases;
                outer.lists_bad |= suite.lists_bad;
                outer.unlisted = outer.unlisted.plus(unlisted);
            }
            None => self.sum = Sum { duration, unlisted },
        }
    }

    /// Closes what is still open, and gives the sum.
    pub(super) fn finish(mut self) -> Sum {
        while !self.open.is_empty() {
            self.close(false);
        }
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(tests: u64, time: Option<u64>) -> SuiteAttributes {
        let counted = Counted { tests, ..Counted::default() };
        SuiteAttributes { name: String::new(), counted, time: time.map(Duration::from_secs) }
    }

    /// Opens and closes an outer suite around inner ones, each with so many cases of 1 s.
    fn sum(outer: SuiteAttributes, inner: Vec<(SuiteAttributes, usize)>) -> (u64, u64) {
        let mut suites = Suites::default();
        suites.open(outer);
        for (attributes, cases) in inner {
            suites.open(attributes);
            (0..cases).for_each(|_| suites.add_case(Duration::from_secs(1), false));
            suites.close(true);
        }
        suites.close(true);
        let sum = suites.finish();
        (sum.duration.as_secs(), sum.unlisted.total())
    }

    #[test]
    fn failures_that_are_counted_have_to_be_listed() {
        let counted = Counted { tests: 2, failures: 1, ..Counted::default() };
        for (listed, unlisted) in [([false, false], 1), ([false, true], 0)] {
            let mut suites = Suites::default();
            for _ in 0..2 {
                suites.open(SuiteAttributes { name: String::new(), counted, time: None });
            }
            for bad in listed {
                suites.add_case(Duration::ZERO, bad);
            }
            (0..2).for_each(|_| suites.close(true));
            assert_eq!(suites.finish().unlisted.total(), unlisted, "{listed:?}");
        }
    }

    #[test]
    fn the_outermost_time_that_is_known_counts() {
        assert_eq!(sum(suite(0, Some(9)), vec![(suite(0, Some(5)), 1)]), (9, 0));
        assert_eq!(sum(suite(0, None), vec![(suite(0, Some(5)), 1), (suite(0, None), 2)]), (7, 0));
        assert_eq!(sum(suite(0, Some(0)), vec![(suite(0, None), 2)]), (2, 0));
    }

    #[test]
    fn counts_unlisted_tests_once() {
        assert_eq!(sum(suite(5, None), vec![(suite(5, None), 0)]).1, 5);
        assert_eq!(sum(suite(9, None), vec![(suite(2, None), 2), (suite(3, None), 0)]).1, 3);
        assert_eq!(sum(suite(9, None), vec![(suite(2, None), 1)]).1, 0);
        let failed = Counted { failures: 2, errors: 1, ..Counted::default() };
        assert_eq!((failed.total(), failed.describe().as_str()), (3, "3 tests (2 failed, 1 broke)"));
    }
}
