//! The structure of a report: places each element and builds cases and suites from it.

use std::borrow::Cow;

use quick_xml::events::BytesStart;

use super::attributes::SuiteAttributes;
use super::case::{OpenCase, Problem};
use super::case_list::CaseList;
use super::error::JunitError;
use super::suites::Suites;
use super::values;
use crate::{Cause, Fault, Limits, Outcome, Progress, Report, Tally};
use text::{one_line, shorten, thousands};

/// Limit of the nesting of elements.
const MAX_DEPTH: usize = 1_000;

/// An open element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Suite,
    Case,
    /// An unknown element in a case. Problems in it belong to the case.
    InCase,
    Problem,
    /// A problem outside of any case. It becomes a case of its own.
    SuiteProblem,
    /// An element in a problem. Its text belongs to the problem.
    InProblem,
    /// An element whose content is ignored.
    Ignored,
}

/// How a document ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The root element was closed.
    Whole,
    /// The bytes ended before the root was closed.
    Cut,
    /// From some place on the bytes are not XML, for this reason.
    Malformed(String),
}

/// Why an element or a text is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The bytes are not a report.
    NoReport(JunitError),
    /// From here on the bytes are not XML, for this reason.
    Malformed(String),
}

/// The document so far.
#[derive(Debug)]
pub(super) struct Document {
    open: Vec<Element>,
    root_seen: bool,
    suites: Suites,
    case: OpenCase,
    cases: CaseList,
    tally: Tally,
}

impl Document {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            open: Vec::new(),
            root_seen: false,
            suites: Suites::default(),
            case: OpenCase::default(),
            cases: CaseList::new(limits),
            tally: Tally::default(),
        }
    }

    /// Whether the root element has been closed.
    pub(super) fn is_whole(&self) -> bool {
        self.root_seen && self.open.is_empty()
    }

    /// Opens an element.
    pub(super) fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), Refusal> {
        let name = tag.local_name();
        let element = self.place(name.as_ref(), tag)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Refusal::Malformed(format!("elements nested deeper than {MAX_DEPTH}")));
        }
        self.open.push(element);
        Ok(())
    }

    /// Decides what an element means at this place, and begins the suite, case or problem that it opens.
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
            // Surefire puts the output of a rerun into its element; it is not a part of the failure.
            Some(Element::Problem | Element::SuiteProblem | Element::InProblem)
                if !matches!(name, "system-out" | "system-err") =>
            {
                Element::InProblem
            }
            _ => Element::Ignored,
        })
    }

    /// Closes the innermost element.
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
        if outcome == Outcome::Passed && self.cases.is_full_for_passed() {
            self.cases.leave_out();
        } else {
            self.cases.add(self.case.finish());
        }
    }

    /// Adds text or CDATA.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Refusal> {
        if self.in_problem() {
            self.case.push_text(|out| out.push_str(text));
        } else if !self.root_seen && !text.trim().is_empty() {
            let begins = shorten(&one_line(text.trim()), 60).into_owned();
            return Err(Refusal::NoReport(JunitError::NotXml { what: format!("it begins with `{begins}`") }));
        }
        Ok(())
    }

    /// Adds the text of a reference such as `&amp;`, given by its name.
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

    /// The report of all elements so far. The document ended at `byte`, as `ending` says.
    pub(super) fn finish(self, ending: Ending, byte: u64) -> Result<Report, JunitError> {
        if !self.root_seen {
            let what = match ending {
                Ending::Malformed(why) => why,
                Ending::Cut | Ending::Whole => "it ends before its first element".to_owned(),
            };
            return Err(JunitError::NotXml { what });
        }
        let broken = self.broken(&ending, byte);
        let Self { suites, cases, mut tally, .. } = self;
        let sum = suites.finish();
        let unlisted = sum.unlisted;
        tally.unlisted = unlisted.total();
        let uncaught = (unlisted.errors > 0)
            .then(|| format!("the report counts {} for which it lists no case", unlisted.describe()));
        let (cases, mut cut) = cases.finish();
        if unlisted.total() > 0 && uncaught.is_none() {
            let note = format!("{} counted without a case", unlisted.describe());
            cut = Some(cut.map_or(note.clone(), |cut| format!("{cut}; {note}")));
        }
        let fault = broken.or(uncaught).map(|message| Fault::new(Progress::Report, Cause::Suite, message));
        Ok(Report { cases, tally, duration: sum.duration, fault, cut, ..Report::default() })
    }

    /// A sentence about a document that is cut off or malformed.
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
