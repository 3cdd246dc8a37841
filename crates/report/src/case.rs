//! One test case and its name.

use std::time::Duration;

use text::{one_line, shorten_bytes};

/// Name of a case that has none in its report.
pub const UNNAMED: &str = "(unnamed)";

/// Limit of a case's name, in bytes.
const MAX_NAME: usize = 1 << 10;

/// The name of a case, `class::name`, from the class and the name in its report. Removes a leading `tests.` of the class
/// and control characters, and shortens the name to 1,024 bytes.
pub fn case_name(class: &str, name: &str) -> String {
    let (class, name) = (one_line(class), one_line(name));
    let (class, name) = (class.trim(), name.trim());
    let name = if name.is_empty() { UNNAMED } else { name };
    let full = match class.strip_prefix("tests.").unwrap_or(class) {
        "" => name.to_owned(),
        class => format!("{class}::{name}"),
    };
    if full.len() > MAX_NAME { shorten_bytes(&full, MAX_NAME).into_owned() } else { full }
}

/// Outcome of a test case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The test ran and passed.
    Passed,
    /// The test ran, and an assertion failed.
    Failed,
    /// The test or its set-up raised an error.
    Errored,
    /// The test did not run.
    Skipped,
}

/// One test case of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// `classname` without a leading `tests.`, then `::`, then the case's name.
    pub name: String,
    /// Its outcome.
    pub outcome: Outcome,
    /// Message and details of the failure; empty for a case that passed.
    pub description: String,
    /// Its run time.
    pub duration: Duration,
    /// Peak memory in bytes, where it was measured.
    pub memory: Option<u64>,
}
