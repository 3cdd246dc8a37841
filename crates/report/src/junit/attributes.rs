//! Reads the attributes of suites, cases and problems. Ignores namespace prefixes and unknown or malformed attributes.

use std::time::Duration;

use quick_xml::events::BytesStart;

use super::counts::Counts;
use super::values::{count, set_unescaped, time};
use crate::Outcome;

/// The attributes of a suite.
#[derive(Debug, Default)]
pub(super) struct SuiteAttributes {
    pub(super) name: String,
    pub(super) counted: Counts,
    pub(super) time: Option<Duration>,
}

/// The attributes of a case. Reused for each case to save allocations.
#[derive(Debug, Default)]
pub(super) struct CaseAttributes {
    pub(super) class: String,
    pub(super) name: String,
    pub(super) time: Option<Duration>,
    /// Outcome by the attributes `status` and `result`, and its description where the report gives no other.
    pub(super) status: Option<(Outcome, &'static str)>,
    scratch: String,
}

/// The attributes of a failure, an error, a skip.
#[derive(Debug, Default)]
pub(super) struct ProblemAttributes {
    pub(super) message: String,
    pub(super) kind: String,
}

/// Calls `take` with the local name and the raw value of each attribute.
fn each(tag: &BytesStart<'_>, mut take: impl FnMut(&str, &str)) {
    let mut attributes = tag.html_attributes();
    attributes.with_checks(false);
    for attribute in attributes.flatten() {
        take(attribute.key.local_name().as_ref(), &attribute.value);
    }
}

impl SuiteAttributes {
    /// Reads the attributes of a suite.
    pub(super) fn of(tag: &BytesStart<'_>) -> Self {
        let mut suite = Self::default();
        let counted = &mut suite.counted;
        each(tag, |key, value| match key {
            "name" => set_unescaped(&mut suite.name, value),
            "time" => suite.time = time(value),
            "tests" => counted.tests = count(value),
            "failures" => counted.failures = count(value),
            "errors" => counted.errors = count(value),
            // gtest and CTest count `disabled` apart from `skipped`; nose writes `skip`.
            "skipped" | "disabled" | "skip" => counted.skipped = counted.skipped.saturating_add(count(value)),
            _ => {}
        });
        suite
    }
}

impl CaseAttributes {
    /// The attributes of a case that has no element of its own.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Replaces all values by those of `tag`.
    pub(super) fn read(&mut self, tag: &BytesStart<'_>) {
        self.class.clear();
        self.name.clear();
        (self.time, self.status) = (None, None);
        each(tag, |key, value| match key {
            "classname" => set_unescaped(&mut self.class, value),
            "name" => set_unescaped(&mut self.name, value),
            "time" => self.time = time(value),
            "status" | "result" => {
                set_unescaped(&mut self.scratch, value);
                self.status = self.status.max_by_severity(status(&self.scratch));
            }
            _ => {}
        });
    }
}

impl ProblemAttributes {
    /// Replaces all values by those of `tag`.
    pub(super) fn read(&mut self, tag: &BytesStart<'_>) {
        self.message.clear();
        self.kind.clear();
        each(tag, |key, value| match key {
            "message" => set_unescaped(&mut self.message, value),
            "type" => set_unescaped(&mut self.kind, value),
            _ => {}
        });
    }
}

/// The outcome that a value of `status` or `result` stands for. gtest writes `status="notrun"`, `result="skipped"` and
/// `"suppressed"`; `CTest` writes `status="notrun"`, `"disabled"` and `"fail"`.
fn status(value: &str) -> Option<(Outcome, &'static str)> {
    match value.trim().to_ascii_lowercase().as_str() {
        "notrun" | "disabled" | "suppressed" => Some((Outcome::Skipped, "not run")),
        "skipped" | "ignored" | "pending" => Some((Outcome::Skipped, "skipped")),
        "fail" | "failed" | "failure" => Some((Outcome::Failed, "failed")),
        "error" | "errored" | "broken" => Some((Outcome::Errored, "error")),
        _ => None,
    }
}

/// How bad an outcome is: an error hides a failure, a failure hides a skip.
pub(super) fn severity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => 0,
        Outcome::Skipped => 1,
        Outcome::Failed => 2,
        Outcome::Errored => 3,
    }
}

/// Chooses the worse of two outcomes.
trait Worst {
    fn max_by_severity(self, other: Self) -> Self;
}

impl Worst for Option<(Outcome, &'static str)> {
    fn max_by_severity(self, other: Self) -> Self {
        [self, other].into_iter().flatten().max_by_key(|(outcome, _)| severity(*outcome))
    }
}
