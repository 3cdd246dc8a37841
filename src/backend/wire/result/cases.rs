//! The cases of a result, converted while they are serialized.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};

use report::{Case, Outcome};
use text::{clean, head_and_tail, one_line};

/// Maximum of all numbers: the backend stores Java's `int`. In milliseconds this is 24 days.
const MAX_NUMBER: u64 = i32::MAX as u64;

/// How cases are reduced so that the body fits.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// Maximum bytes of one description.
    pub(super) description: usize,
    /// For each case whether it is omitted; empty if none is.
    pub(super) omitted: Vec<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TestResult<'a> {
    is_passed: bool,
    description: Cow<'a, str>,
    memory_used: u64,
    duration: u64,
    name: Cow<'a, str>,
}

/// The cases of a report, reduced by `fit`.
#[derive(Clone, Copy)]
pub(super) struct TestResults<'a> {
    pub(super) cases: &'a [Case],
    pub(super) fit: &'a Fit,
}

impl Serialize for TestResults<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (i, case) in self.cases.iter().enumerate() {
            if self.fit.omitted.get(i) != Some(&true) {
                list.serialize_element(&test_result(case, self.fit.description))?;
            }
        }
        list.end()
    }
}

/// Converts a case; shortens its description to `max_description` bytes.
pub(super) fn test_result(case: &Case, max_description: usize) -> TestResult<'_> {
    let description = match clean(&case.description) {
        Cow::Borrowed(clean) => head_and_tail(clean, max_description),
        Cow::Owned(clean) => Cow::Owned(head_and_tail(&clean, max_description).into_owned()),
    };
    TestResult {
        is_passed: case.outcome == Outcome::Passed,
        description,
        memory_used: case.memory.unwrap_or(0).div_ceil(1 << 20).min(MAX_NUMBER),
        duration: millis(case.duration),
        name: one_line(&case.name),
    }
}

/// Rounds to whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    let rounded = duration.saturating_add(Duration::from_micros(500)).as_millis();
    u64::try_from(rounded).unwrap_or(u64::MAX).min(MAX_NUMBER)
}

/// Size of `value` as JSON in bytes.
pub(super) fn json_size(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Neither the counter nor the serialization of these types can fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}
