//! Checks a report and the body of its result against their limits and against another XML parser.

use std::io::{self, Read};

use ostest_runner::backend::wire::{result_body, result_body_pretty};
use ostest_runner::task::TaskId;
use report::junit::{self, JunitError};
use report::{Case, Limits, Outcome, Report, Verdict};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Maximum bytes of a case's name, as in `crates/report`.
const MAX_NAME: usize = 1 << 10;

/// Nearly the smallest limits that the command line accepts, so that small inputs reach every limit.
pub fn tight() -> Limits {
    Limits {
        max_error_details: 40,
        max_description: 100,
        max_cases: 3,
        max_body: 1 << 10,
        ..Limits::default()
    }
}

/// Limits without a maximum number of cases, so that the memory budget limits them.
pub fn by_weight() -> Limits {
    Limits { max_cases: usize::MAX, max_body: 1 << 10, ..Limits::default() }
}

/// A reader that returns 1, 2, … `max` bytes per read, repeatedly, as a slow disk or an unusual block size would.
pub struct Pieces<'a> {
    bytes: &'a [u8],
    next: usize,
    max: usize,
}

impl<'a> Pieces<'a> {
    pub fn new(bytes: &'a [u8], max: usize) -> Self {
        Self { bytes, next: 0, max }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.next = self.next % self.max + 1;
        let (piece, rest) = self.bytes.split_at(self.next.min(self.bytes.len()).min(out.len()));
        out[..piece.len()].copy_from_slice(piece);
        self.bytes = rest;
        Ok(piece.len())
    }
}

/// Reads `bytes` with `limits`, and checks the report and its body. For an error, checks the report of its fault.
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

/// Checks the sizes of a report and the consistency of its tally.
fn check_bounds(report: &Report, limits: &Limits) {
    let tally = &report.tally;
    assert!(report.cases.len() <= limits.max_cases);
    for Case { name, description, .. } in &report.cases {
        assert!(!name.is_empty() && name.len() <= MAX_NAME, "{name:?}");
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

/// Checks the body of the result of `report`, including its size.
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

/// Checks everything but the size of the body, which depends on the id, and returns it.
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
    // The details of a fault are never empty.
    assert!(report.fault.is_none() || limits.max_body < 1 << 10 || !details.trim().is_empty(), "{report:?}");
    body
}

/// Whether a text has no noncharacters and no control characters; `lines` allows `\n` and `\t`.
fn storable(text: &str, lines: bool) -> bool {
    text.chars().all(|c| match c {
        '\n' | '\t' => lines,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control(),
    })
}

/// Counts of cases by another parser, which accepts only well-formed documents.
#[derive(Debug, Default)]
struct Expected {
    cases: u64,
    /// Cases with an element for another outcome than passed.
    bad: u64,
    /// Cases without elements and without attributes for an outcome.
    plain: u64,
}

impl Expected {
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
                    let has_status = child.attributes().any(|a| matches!(a.name(), "status" | "result"));
                    self.plain += u64::from(inside.peek().is_none() && !has_status);
                    let bad = |tag| matches!(tag, "failure" | "warning" | "error" | "skipped");
                    self.bad += u64::from(inside.any(|inner| bad(inner.tag_name().name())));
                }
                _ => {}
            }
        }
    }
}

/// Checks that a well-formed report is accepted, all its cases are counted, and no case passes that has another outcome.
pub fn check_against_tree(bytes: &[u8], read: &Result<Report, JunitError>) {
    /// Maximum depth of compared documents; the reader's is 1,000.
    const DEEP: usize = 900;
    // The other parser does not decode other encodings.
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
    let mut expected = Expected::default();
    expected.suite(root);
    let tally = &report.tally;
    assert_eq!(tally.passed + tally.failed + tally.errored + tally.skipped, expected.cases, "{report:?}");
    assert!((expected.plain..=expected.cases - expected.bad).contains(&tally.passed), "{expected:?}, {report:?}");
}

/// Expands a short input: `\x01 BACK COUNT` repeats the last BACK + 1 bytes until COUNT * 512 bytes are added. (`\x01` does
/// not occur in XML, so ordinary reports are not changed.)
pub fn expand(bytes: &[u8]) -> Vec<u8> {
    const MAX_BYTES: usize = 384 << 10;
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (1, [back, count, after @ ..]) => {
                let piece = out[out.len().saturating_sub(usize::from(*back) + 1)..].to_vec();
                let end = (out.len() + usize::from(*count) * 512).min(MAX_BYTES);
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
