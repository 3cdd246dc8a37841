//! One open case: what its elements say it came to, and the name and the description that follow.

use std::time::Duration;

use quick_xml::events::BytesStart;

use super::attributes::{CaseAttributes, ProblemAttributes, severity};
use crate::{Case, Outcome, case_name};
use text::{clean, head_and_tail};

/// Bytes of text that are held of one case while it is open; a text grows to twice that before it is cut.
const HELD: usize = 128 << 10;

/// What an element in a case reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// The case came to this.
    Final(Outcome),
    /// Surefire, nextest: a failed case failed again; the text goes with the failure.
    Rerun(Outcome),
    /// It failed first and passed later: it passed.
    Flaky,
}

impl Problem {
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

/// The open case. Kept from case to case for its buffers.
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
    pub(super) fn begin(&mut self, tag: &BytesStart<'_>) {
        self.attributes.read(tag);
        self.reset();
    }

    /// A case that stands for a suite which failed outside of any case.
    pub(super) fn begin_for_suite(&mut self, name: &str) {
        self.attributes = CaseAttributes::named(name);
        self.reset();
    }

    fn reset(&mut self) {
        (self.outcome, self.rerun, self.problem) = (None, None, None);
        self.description.clear();
    }

    pub(super) fn begin_problem(&mut self, problem: Problem, tag: &BytesStart<'_>) {
        self.problem = Some(problem);
        self.problem_attributes.read(tag);
        self.text.clear();
    }

    /// Text within the open problem.
    pub(super) fn push_text(&mut self, append: impl FnOnce(&mut String)) {
        append(&mut self.text);
        bound(&mut self.text);
    }

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

    pub(super) fn outcome(&self) -> Outcome {
        let status = self.attributes.status.map(|(outcome, _)| outcome);
        let said = self.outcome.or(self.rerun);
        said.into_iter().chain(status).max_by_key(|o| severity(*o)).unwrap_or(Outcome::Passed)
    }

    pub(super) fn duration(&self) -> Duration {
        self.attributes.time.unwrap_or_default()
    }

    pub(super) fn name(&self) -> String {
        case_name(&self.attributes.class, &self.attributes.name)
    }

    pub(super) fn finish(&self) -> Case {
        let outcome = self.outcome();
        let description = match (outcome, without_blank_ends(&clean(&self.description))) {
            (Outcome::Passed, _) => String::new(),
            (outcome, "") => self.fallback(outcome).to_owned(),
            (_, description) => description.to_owned(),
        };
        Case { name: self.name(), outcome, description, duration: self.duration(), memory: None }
    }

    /// What to say of a case about which the report says nothing.
    fn fallback(&self, outcome: Outcome) -> &'static str {
        match (self.attributes.status, outcome) {
            (Some((status, said)), outcome) if status == outcome => said,
            (_, Outcome::Errored) => "error",
            (_, Outcome::Failed) => "failed",
            (_, Outcome::Skipped) => "skipped",
            (_, Outcome::Passed) => "",
        }
    }
}

/// Whether `text` begins with `message` as a whole, not as a part of its first word.
fn begins_with(text: &str, message: &str) -> bool {
    text.strip_prefix(message).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Cuts a growing text now and then, so that each byte is copied a bounded number of times.
fn bound(text: &mut String) {
    if text.len() > 2 * HELD {
        *text = head_and_tail(text, HELD).into_owned();
    }
}

fn push_line(out: &mut String, line: &str) {
    if !out.is_empty() && !line.is_empty() {
        out.push('\n');
    }
    out.push_str(line);
}

/// Without blank lines before and white space behind; the indentation of the first line stays.
fn without_blank_ends(text: &str) -> &str {
    let text = text.trim_end();
    let indent = text.len() - text.trim_start().len();
    text[..indent].rfind('\n').map_or(text, |at| &text[at + 1..])
}
