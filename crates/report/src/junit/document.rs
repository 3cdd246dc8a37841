//! The shape of a report: which element stands where, and what follows from it when it opens and closes.

use std::borrow::Cow;

use quick_xml::events::BytesStart;

use super::attributes::SuiteAttributes;
use super::case::{OpenCase, Problem};
use super::kept::Kept;
use super::suites::Suites;
use super::{JunitError, values};
use crate::{Cause, Fault, Limits, Outcome, Progress, Report, Tally};
use text::{one_line, shorten, thousands};

/// More elements within each other than this is no report.
const DEEPEST: usize = 1_000;

/// An open element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Suite,
    Case,
    /// In a case, but nothing that is known: problems in it are the case's.
    InCase,
    Problem,
    /// A problem outside of any case: it stands for a case of its own.
    SuiteProblem,
    /// In a problem; its text is the problem's.
    InProblem,
    /// Whatever is in it does not matter.
    Ignored,
}

/// How a document ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// Its root was closed.
    Whole,
    /// The bytes ended before that.
    Cut,
    /// It is no XML from some place on, and why.
    Malformed(String),
}

/// Why an element or a text is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// This is no report at all.
    NoReport(JunitError),
    /// It is no XML from here on.
    Malformed(String),
}

/// The document so far.
#[derive(Debug)]
pub(super) struct Document {
    open: Vec<Element>,
    root_seen: bool,
    suites: Suites,
    case: OpenCase,
    kept: Kept,
    tally: Tally,
}

impl Document {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            open: Vec::new(),
            root_seen: false,
            suites: Suites::default(),
            case: OpenCase::default(),
            kept: Kept::new(limits),
            tally: Tally::default(),
        }
    }

    /// Whether the root has been closed: what follows is not looked at.
    pub(super) fn is_whole(&self) -> bool {
        self.root_seen && self.open.is_empty()
    }

    pub(super) fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), Refusal> {
        let name = tag.local_name();
        let element = self.place(name.as_ref(), tag)?;
        if self.open.len() >= DEEPEST {
            return Err(Refusal::Malformed(format!("elements nested deeper than {DEEPEST}")));
        }
        self.open.push(element);
        Ok(())
    }

    /// What an element is at this place, with what follows from its opening.
    fn place(&mut self, name: &str, tag: &BytesStart<'_>) -> Result<Element, Refusal> {
        let suite = matches!(name, "testsuites" | "testsuite");
        Ok(match self.open.last() {
            None if !suite => {
                let root = shorten(&one_line(name), 80).into_owned();
                return Err(Refusal::NoReport(JunitError::NotJunit { root }));
            }
            None | Some(Element::Suite) if suite => {
                self.root_seen = true;
                self.suites.open(SuiteAttributes::of(tag));
                Element::Suite
            }
            Some(Element::Suite) if name == "testcase" => {
                self.case.begin(tag);
                Element::Case
            }
            Some(Element::Suite) => match Problem::of(name) {
                Some(problem @ Problem::Final(Outcome::Failed | Outcome::Errored)) => {
                    self.case.begin_for_suite(self.suites.name());
                    self.case.begin_problem(problem, tag);
                    Element::SuiteProblem
                }
                _ => Element::Ignored,
            },
            Some(Element::Case | Element::InCase) => match Problem::of(name) {
                Some(problem) => {
                    self.case.begin_problem(problem, tag);
                    Element::Problem
                }
                None => Element::InCase,
            },
            // Surefire: the output of a rerun stands within it, and is no part of what went wrong.
            Some(Element::Problem | Element::SuiteProblem | Element::InProblem)
                if !matches!(name, "system-out" | "system-err") =>
            {
                Element::InProblem
            }
            _ => Element::Ignored,
        })
    }

    pub(super) fn end(&mut self) {
        match self.open.pop() {
            Some(Element::Suite) => self.suites.close(true),
            Some(Element::Case) => self.end_case(),
            Some(Element::Problem) => self.case.end_problem(),
            Some(Element::SuiteProblem) => {
                self.case.end_problem();
                self.end_case();
            }
            Some(Element::InCase | Element::InProblem | Element::Ignored) | None => {}
        }
    }

    fn end_case(&mut self) {
        let outcome = self.case.outcome();
        self.tally.count(outcome);
        let bad = matches!(outcome, Outcome::Failed | Outcome::Errored);
        self.suites.add_case(self.case.duration(), bad);
        if outcome == Outcome::Passed && self.kept.refuses_passed() {
            self.kept.leave_out();
        } else {
            self.kept.add(self.case.finish());
        }
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), Refusal> {
        if self.in_problem() {
            self.case.push_text(|out| out.push_str(text));
        } else if !self.root_seen && !text.trim().is_empty() {
            let begins = shorten(&one_line(text.trim()), 60).into_owned();
            return Err(Refusal::NoReport(JunitError::NotXml { what: format!("it begins with `{begins}`") }));
        }
        Ok(())
    }

    pub(super) fn reference(&mut self, name: &str) -> Result<(), Refusal> {
        if self.in_problem() {
            self.case.push_text(|out| values::push_reference(out, name));
            return Ok(());
        }
        self.text(name)
    }

    fn in_problem(&self) -> bool {
        matches!(self.open.last(), Some(Element::Problem | Element::SuiteProblem | Element::InProblem))
    }

    /// The report of what was read, the document having ended at `byte`.
    pub(super) fn finish(self, ending: Ending, byte: u64) -> Result<Report, JunitError> {
        if !self.root_seen {
            let what = match ending {
                Ending::Malformed(why) => why,
                Ending::Cut | Ending::Whole => "it ends before its first element".to_owned(),
            };
            return Err(JunitError::NotXml { what });
        }
        let broken = self.broken(&ending, byte);
        let Self { suites, kept, mut tally, .. } = self;
        let sum = suites.finish();
        let unlisted = sum.unlisted;
        tally.unlisted = unlisted.total();
        let uncaught = (unlisted.errors > 0)
            .then(|| format!("the report counts {} for which it lists no case", unlisted.describe()));
        let (cases, mut cut) = kept.finish();
        if unlisted.total() > 0 && uncaught.is_none() {
            let note = format!("{} counted without a case", unlisted.describe());
            cut = Some(cut.map_or(note.clone(), |cut| format!("{cut}; {note}")));
        }
        let fault = broken.or(uncaught).map(|message| Fault::new(Progress::Report, Cause::Suite, message));
        Ok(Report { cases, tally, duration: sum.duration, fault, cut, ..Report::default() })
    }

    /// A sentence about a document that is not whole.
    fn broken(&self, ending: &Ending, byte: u64) -> Option<String> {
        let (how, why) = match ending {
            Ending::Whole => return None,
            Ending::Cut => ("cut off", Cow::Borrowed("")),
            Ending::Malformed(why) => {
                ("malformed", Cow::Owned(format!(" ({})", shorten(&one_line(why), 80))))
            }
        };
        let total = self.tally.total();
        let cases = if total == 1 { "case" } else { "cases" };
        let open = if self.open.iter().any(|e| matches!(e, Element::Case | Element::SuiteProblem)) {
            format!("; {} had begun and is not counted", shorten(&self.case.name(), 100))
        } else {
            String::new()
        };
        Some(format!(
            "the report is {how} at byte {}{why}, after {} {cases}{open}",
            thousands(byte),
            thousands(total)
        ))
    }
}
