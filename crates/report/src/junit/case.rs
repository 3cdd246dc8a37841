//! One case while it is open: its elements give its outcome, name and description.

use std::time::Duration;

use quick_xml::events::BytesStart;

use super::attributes::{CaseAttributes, ProblemAttributes, severity};
use crate::{Case, Outcome, case_name};
use text::{clean, head_and_tail};

/// Bytes of text that an open case keeps. A text grows to twice that before it is cut.
const MAX_TEXT: usize = 128 << 10;

/// An element in a case that reports a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// The outcome of the case.
    Final(Outcome),
    /// A failed case failed again (Surefire, nextest). Its text joins that of the failure.
    Rerun(Outcome),
    /// The case failed first and passed later, so that it passed.
    Flaky,
}

impl Problem {
    /// The problem that an element of this name reports.
    pub(super) fn of(element: &str) -> Option<Self> {
        Some(match element {
            "failure" | "warning" => Self::Final(Outcome::Failed),
            "error" => Self::Final(Outcome::Errored),
            "skipped" => Self::Final(Outcome::Skipped),
            "rerunFailure" => Self::Rerun(Outcome::Failed),
            "rerunError" => Self::Rerun(Outcome::Errored),
            "flakyFailure" | "flakyError" => Self::Flaky,
            _ => return None,
        })
    }
}

/// The open case. Reused for each case to save allocations.
#[derive(Debug, Default)]
pub(super) struct OpenCase {
    attributes: CaseAttributes,
    outcome: Option<Outcome>,
    rerun: Option<Outcome>,
    description: String,
    problem: Option<Problem>,
    problem_attributes: ProblemAttributes,
    text: String,
}

impl OpenCase {
    /// Begins a case with the attributes of `tag`.
    pub(super) fn begin(&mut self, tag: &BytesStart<'_>) {
        self.attributes.read(tag);
        self.reset();
    }

    /// Begins a case that stands for a suite with a failure outside of its cases.
    pub(super) fn begin_for_suite(&mut self, name: &str) {
        self.attributes = CaseAttributes::named(name);
        self.reset();
    }

    fn reset(&mut self) {
        (self.outcome, self.rerun, self.problem) = (None, None, None);
        self.description.clear();
    }

    /// Begins a problem in the case.
    pub(super) fn begin_problem(&mut self, problem: Problem, tag: &BytesStart<'_>) {
        self.problem = Some(problem);
        self.problem_attributes.read(tag);
        self.text.clear();
    }

    /// Adds text to the open problem.
    pub(super) fn push_text(&mut self, append: impl FnOnce(&mut String)) {
        append(&mut self.text);
        bound(&mut self.text);
    }

    /// Ends the open problem: adds it to the outcome and the description of the case.
    pub(super) fn end_problem(&mut self) {
        let Some(problem) = self.problem.take() else { return };
        let worst = |now: Option<Outcome>, new| now.into_iter().chain([new]).max_by_key(|o| severity(*o));
        match problem {
            Problem::Final(outcome) => self.outcome = worst(self.outcome, outcome),
            Problem::Rerun(outcome) => self.rerun = worst(self.rerun, outcome),
            Problem::Flaky => return,
        }
        let ProblemAttributes { message, kind } = &self.problem_attributes;
        let (message, text) = (message.trim(), without_blank_ends(&self.text));
        let text = match (message, text) {
            ("", "") => kind.trim(),
            (message, text) if begins_with(text.trim_start(), message) => text,
            (message, text) => {
                push_line(&mut self.description, message);
                text
            }
        };
        push_line(&mut self.description, text);
        bound(&mut self.description);
    }

    /// The outcome: the worst of its problems and its status.
    pub(super) fn outcome(&self) -> Outcome {
        let status = self.attributes.status.map(|(outcome, _)| outcome);
        let reported = self.outcome.or(self.rerun);
        reported.into_iter().chain(status).max_by_key(|o| severity(*o)).unwrap_or(Outcome::Passed)
    }

    /// Its run time; 0 where the report gives none.
    pub(super) fn duration(&self) -> Duration {
        self.attributes.time.unwrap_or_default()
    }

    /// Its full name.
    pub(super) fn name(&self) -> String {
        case_name(&self.attributes.class, &self.attributes.name)
    }

    /// The case, complete.
    pub(super) fn finish(&self) -> Case {
        let outcome = self.outcome();
        let description = match (outcome, without_blank_ends(&clean(&self.description))) {
            (Outcome::Passed, _) => String::new(),
            (outcome, "") => self.fallback(outcome).to_owned(),
            (_, description) => description.to_owned(),
        };
        Case { name: self.name(), outcome, description, duration: self.duration(), memory: None }
    }

    /// The description of a case for which the report has no text.
    fn fallback(&self, outcome: Outcome) -> &'static str {
        match (self.attributes.status, outcome) {
            (Some((status, words)), outcome) if status == outcome => words,
            (_, Outcome::Errored) => "error",
            (_, Outcome::Failed) => "failed",
            (_, Outcome::Skipped) => "skipped",
            (_, Outcome::Passed) => "",
        }
    }
}

/// Whether `text` begins with `message` and the message ends at the end of a word.
fn begins_with(text: &str, message: &str) -> bool {
    text.strip_prefix(message).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Cuts a text that has grown to twice its limit. So each byte is copied a bounded number of times.
fn bound(text: &mut String) {
    if text.len() > 2 * MAX_TEXT {
        *text = head_and_tail(text, MAX_TEXT).into_owned();
    }
}

/// Appends `line` on a new line.
fn push_line(out: &mut String, line: &str) {
    if !out.is_empty() && !line.is_empty() {
        out.push('\n');
    }
    out.push_str(line);
}

/// Removes blank lines at the start and white space at the end, and keeps the indentation of the first line.
fn without_blank_ends(text: &str) -> &str {
    let text = text.trim_end();
    let indent = text.len() - text.trim_start().len();
    text[..indent].rfind('\n').map_or(text, |at| &text[at + 1..])
}
