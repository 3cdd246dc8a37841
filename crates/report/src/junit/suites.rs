//! The suites around the cases: their times, and the tests that they count without listing a case.

use std::time::Duration;

use super::attributes::SuiteAttributes;
use super::counts::Counts;

/// A suite while it is open.
#[derive(Debug, Default)]
pub(super) struct Suite {
    name: String,
    counted: Counts,
    time: Option<Duration>,
    /// Sum of the times of its cases and suites.
    inner: Duration,
    /// Whether it or a suite in it lists a case.
    lists_cases: bool,
    /// Whether one of those failed or raised an error.
    lists_bad: bool,
    /// Tests that the suites in it count without listing a case.
    unlisted: Counts,
}

impl Suite {
    /// Its time from the attribute, else the sum of the times in it.
    fn duration(&self) -> Duration {
        // A time of 0 around cases with times means that the suite did not measure.
        self.time.filter(|time| !time.is_zero()).unwrap_or(self.inner)
    }

    /// Tests that it counts without listing a case. For a suite that is cut off (`whole` is false) its attributes may count
    /// cases after the cut, so that they do not apply.
    fn unlisted(&self, whole: bool) -> Counts {
        match () {
            () if !whole => self.unlisted,
            () if !self.lists_cases => self.counted.max(self.unlisted),
            // Some tools list fewer cases than they count; but a suite that counts failures has to list one.
            () if !self.lists_bad => self.counted.bad().max(self.unlisted),
            () => self.unlisted,
        }
    }
}

/// Time and unlisted tests of the whole report.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) duration: Duration,
    pub(super) unlisted: Counts,
}

/// The open suites, outermost first.
#[derive(Debug, Default)]
pub(super) struct Suites {
    open: Vec<Suite>,
    sum: Sum,
}

impl Suites {
    /// Opens a suite within the innermost one.
    pub(super) fn open(&mut self, attributes: SuiteAttributes) {
        let SuiteAttributes { name, counted, time } = attributes;
        self.open.push(Suite { name, counted, time, ..Suite::default() });
    }

    /// The name of the innermost open suite.
    pub(super) fn name(&self) -> &str {
        self.open.last().map_or("", |suite| &suite.name)
    }

    /// Adds a case to the innermost suite. `bad`: it failed or raised an error.
    pub(super) fn add_case(&mut self, time: Duration, bad: bool) {
        if let Some(suite) = self.open.last_mut() {
            suite.lists_cases = true;
            suite.lists_bad |= bad;
            suite.inner = suite.inner.saturating_add(time);
        }
    }

    /// Closes the innermost suite; `whole` is false where the report ended before its end tag.
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

    /// Closes all open suites and returns the sum.
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
        let counted = Counts { tests, ..Counts::default() };
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
        let counted = Counts { tests: 2, failures: 1, ..Counts::default() };
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
        let failed = Counts { failures: 2, errors: 1, ..Counts::default() };
        assert_eq!((failed.total(), failed.describe().as_str()), (3, "3 tests (2 failed, 1 broke)"));
    }
}
