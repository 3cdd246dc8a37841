//! What must hold of a report and of what is posted, whatever bytes came in. The targets feed it.

use std::io::{self, Read};

use ostest_runner::backend::wire::{result_body, result_body_pretty};
use ostest_runner::task::TaskId;
use report::junit::{self, JunitError};
use report::{Case, Limits, Outcome, Report, Verdict};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes of a case's name (`src/junit/case.rs`).
const LONGEST_NAME: usize = 1 << 10;

/// The smallest limits that the command line takes, nearly: every bound is reached by a small input.
pub fn tight() -> Limits {
    Limits {
        max_error_details: 40,
        max_description: 100,
        max_cases: 3,
        max_body: 1 << 10,
        ..Limits::default()
    }
}

/// No bound on cases, so that the budget of what is kept is what bounds them.
pub fn by_weight() -> Limits {
    Limits { max_cases: usize::MAX, max_body: 1 << 10, ..Limits::default() }
}

/// Gives its bytes in pieces of 1, 2, … `most` bytes, over and over: as a slow disk or an odd block size would.
pub struct Pieces<'a> {
    bytes: &'a [u8],
    next: usize,
    most: usize,
}

impl<'a> Pieces<'a> {
    pub fn new(bytes: &'a [u8], most: usize) -> Self {
        Self { bytes, next: 0, most }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.next = self.next % self.most + 1;
        let (piece, rest) = self.bytes.split_at(self.next.min(self.bytes.len()).min(out.len()));
        out[..piece.len()].copy_from_slice(piece);
        self.bytes = rest;
        Ok(piece.len())
    }
}

/// Reads `bytes` within `limits`, and checks the report and its body; a typed error becomes the report of its fault.
pub fn check_report(bytes: &[u8], limits: &Limits) -> Result<Report, JunitError> {
    let read = junit::read(bytes, limits);
    match &read {
        Ok(report) => check_bounds(report, limits),
        Err(error) => {
            assert!(!error.is_unreadable(), "bytes in memory cannot be unreadable: {error}");
            check_body(&Report::of_fault(error.fault(), Default::default()), limits);
        }
    }
    read
}

fn check_bounds(report: &Report, limits: &Limits) {
    let tally = &report.tally;
    assert!(report.cases.len() <= limits.max_cases);
    for Case { name, description, .. } in &report.cases {
        assert!(!name.is_empty() && name.len() <= LONGEST_NAME, "{name:?}");
        assert!(storable(name, false), "{name:?}");
        assert!(description.len() as u64 <= limits.max_description, "{} bytes", description.len());
        assert!(storable(description, true), "{description:?}");
    }
    for (outcome, counted) in [
        (Outcome::Passed, tally.passed),
        (Outcome::Failed, tally.failed),
        (Outcome::Errored, tally.errored),
        (Outcome::Skipped, tally.skipped),
    ] {
        let kept = report.cases.iter().filter(|case| case.outcome == outcome).count() as u64;
        assert!(kept <= counted, "{kept} of {counted} {outcome:?}");
    }
    if report.verdict() == Verdict::Success {
        let others = [tally.failed, tally.errored, tally.skipped, tally.unlisted];
        assert!(tally.passed > 0 && others == [0; 4] && report.fault.is_none(), "a pass of {report:?}");
    }
    check_body(report, limits);
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Posted<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    is_passed: bool,
    duration: u64,
    test_results: Vec<PostedCase>,
    is_error: bool,
    error_details: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PostedCase {
    is_passed: bool,
    description: String,
    memory_used: u64,
    duration: u64,
    name: String,
}

/// Checks the body of `report`'s result.
fn check_body(report: &Report, limits: &Limits) {
    const ID: &str = r#""8c2f8f0e-6a5e-4a1c-9a52-0c6d5f9c7b11""#;
    let id = TaskId::new(serde_json::from_str(ID).expect("it is JSON"));
    let body = check_body_of(&id, report, limits);
    let pretty = result_body_pretty(&id, report, limits);
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("the body is JSON");
    if body.len() < 16 << 10 {
        assert_eq!(value(&body), value(&pretty));
    }
    assert!(body.len() as u64 <= limits.max_body, "{} of {} bytes", body.len(), limits.max_body);
}

/// Checks all but the size, for which the id must be short, and gives the body.
pub fn check_body_of(id: &TaskId, report: &Report, limits: &Limits) -> Vec<u8> {
    const JAVA: u64 = i32::MAX as u64;
    let body = result_body(id, report, limits);
    let posted: Posted<'_> = serde_json::from_slice(&body)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body)));
    let verdict = report.verdict();
    assert_eq!(posted.id.get(), id.raw().get());
    assert_eq!((posted.is_passed, posted.is_error), (verdict == Verdict::Success, verdict == Verdict::Error));
    assert!(posted.duration <= JAVA);
    assert!(posted.test_results.len() <= limits.max_cases.min(report.cases.len()));
    assert!(!posted.is_passed || posted.test_results.iter().all(|case| case.is_passed));
    for case in &posted.test_results {
        assert!(case.duration <= JAVA && case.memory_used <= JAVA);
        assert!(case.description.len() as u64 <= limits.max_description);
        assert!(storable(&case.description, true), "{:?}", case.description);
        assert!(storable(&case.name, false), "{:?}", case.name);
    }
    let details = &posted.error_details;
    assert!(details.chars().count() <= limits.max_error_details, "{details:?}");
    assert!(storable(details, false), "{details:?}");
    // Where nothing but the run itself is to be told, something is told.
    assert!(report.fault.is_none() || limits.max_body < 1 << 10 || !details.trim().is_empty(), "{report:?}");
    body
}

/// No control characters, but `\n` and `\t` where there may be `lines`, and no noncharacters.
fn storable(text: &str, lines: bool) -> bool {
    text.chars().all(|c| match c {
        '\n' | '\t' => lines,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    })
}

/// What another parser, which takes whole and well-formed documents alone, sees in a document.
#[derive(Debug, Default)]
struct Seen {
    cases: u64,
    /// Cases that an element in them says did not pass.
    bad: u64,
    /// Cases with nothing in them and nothing said about them.
    plain: u64,
}

impl Seen {
    fn suite(&mut self, suite: roxmltree::Node<'_, '_>) {
        for child in suite.children().filter(roxmltree::Node::is_element) {
            match child.tag_name().name() {
                "testsuite" | "testsuites" => self.suite(child),
                "failure" | "warning" | "error" => {
                    self.cases += 1;
                    self.bad += 1;
                }
                "testcase" => {
                    self.cases += 1;
                    let mut inside = child.children().filter(roxmltree::Node::is_element).peekable();
                    let said = child.attributes().any(|a| matches!(a.name(), "status" | "result"));
                    self.plain += u64::from(inside.peek().is_none() && !said);
                    let bad = |tag| matches!(tag, "failure" | "warning" | "error" | "skipped");
                    self.bad += u64::from(inside.any(|inner| bad(inner.tag_name().name())));
                }
                _ => {}
            }
        }
    }
}

/// A well-formed report is never called broken, all of its cases are counted, and none passes that says otherwise.
pub fn check_against_a_tree(bytes: &[u8], read: &Result<Report, JunitError>) {
    /// The reader stops at 1,000.
    const DEEP: usize = 900;
    // Another encoding would be decoded by the reader and not here.
    let Some(text) = str::from_utf8(bytes).ok().filter(|text| !text.contains("encoding")) else { return };
    let Ok(tree) = roxmltree::Document::parse(text) else { return };
    let root = tree.root_element();
    if tree.descendants().any(|node| node.ancestors().take(DEEP).count() == DEEP) {
        return;
    }
    if !matches!(root.tag_name().name(), "testsuite" | "testsuites") {
        assert!(matches!(read, Err(JunitError::NotJunit { .. })), "{read:?}");
        return;
    }
    let Ok(report) = read else { panic!("{read:?} of a well-formed report") };
    if let Some(fault) = &report.fault {
        assert!(fault.message.starts_with("the report counts"), "{fault} of a well-formed report");
    }
    let mut seen = Seen::default();
    seen.suite(root);
    let tally = &report.tally;
    assert_eq!(tally.passed + tally.failed + tally.errored + tally.skipped, seen.cases, "{report:?}");
    assert!((seen.plain..=seen.cases - seen.bad).contains(&tally.passed), "{seen:?}, {report:?}");
}

/// A long input from a short one: `\x01 BACK COUNT` repeats the last BACK + 1 bytes until COUNT half KiB are added.
/// (`\x01` is in no XML, so ordinary reports stay as they are.)
pub fn expand(bytes: &[u8]) -> Vec<u8> {
    const LONGEST: usize = 384 << 10;
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (1, [back, count, after @ ..]) => {
                let piece = out[out.len().saturating_sub(usize::from(*back) + 1)..].to_vec();
                let end = (out.len() + usize::from(*count) * 512).min(LONGEST);
                while !piece.is_empty() && out.len() + piece.len() <= end {
                    out.extend_from_slice(&piece);
                }
                after
            }
            (byte, after) => {
                out.push(byte);
                after
            }
        };
    }
    out
}
