//! `POST /api/task/result`: a report as the body of a result, within the limits of what the backend stores.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};
use serde_json::value::RawValue;

use crate::task::TaskId;
use report::{Case, Limits, Outcome, Report, Verdict};
use text::{clean, head_and_tail, one_line, shorten, thousands};

/// Descriptions are not shortened below this to fit the body; after that, cases go.
const SHORTEST_DESCRIPTION: usize = 128;
/// The backend's numbers are Java's; a larger one may be refused for ever. In milliseconds this is 24 days.
const LARGEST: u64 = i32::MAX as u64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: &'a RawValue,
    is_passed: bool,
    duration: u64,
    test_results: TestResults<'a>,
    is_error: bool,
    error_details: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TestResult<'a> {
    is_passed: bool,
    description: Cow<'a, str>,
    memory_used: u64,
    duration: u64,
    name: Cow<'a, str>,
}

/// The cases to be sent, made into results one by one as they are written.
#[derive(Clone, Copy)]
struct TestResults<'a> {
    cases: &'a [Case],
    fit: &'a Fit,
}

impl Serialize for TestResults<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (i, case) in self.cases.iter().enumerate() {
            if self.fit.left_out.get(i) != Some(&true) {
                list.serialize_element(&test_result(case, self.fit.description))?;
            }
        }
        list.end()
    }
}

fn test_result(case: &Case, max_description: usize) -> TestResult<'_> {
    let description = match clean(&case.description) {
        Cow::Borrowed(clean) => head_and_tail(clean, max_description),
        Cow::Owned(clean) => Cow::Owned(head_and_tail(&clean, max_description).into_owned()),
    };
    TestResult {
        is_passed: case.outcome == Outcome::Passed,
        description,
        memory_used: case.memory.unwrap_or(0).div_ceil(1 << 20).min(LARGEST),
        duration: millis(case.duration),
        name: one_line(&case.name),
    }
}

/// What was left out so that the body fits.
#[derive(Debug, Default)]
struct Fit {
    /// Bytes of one description.
    description: usize,
    /// For each case whether it is left out; empty where none is.
    left_out: Vec<bool>,
}

/// The body of a result, at most [`Limits::max_body`] bytes (as long as that leaves room for the id): where it would
/// be more, descriptions are shortened first, then cases that passed are left out, then the last of the others.
pub fn result_body(id: &TaskId, report: &Report, limits: &Limits) -> Vec<u8> {
    write(id, report, limits, |body, size| {
        let mut out = Vec::with_capacity(size);
        serde_json::to_writer(&mut out, body).map(|()| out)
    })
}

/// [`result_body`] for people: the same document, indented.
pub fn result_body_pretty(id: &TaskId, report: &Report, limits: &Limits) -> Vec<u8> {
    write(id, report, limits, |body, size| {
        let mut out = Vec::with_capacity(size);
        serde_json::to_writer_pretty(&mut out, body).map(|()| out)
    })
}

fn write(
    id: &TaskId,
    report: &Report,
    limits: &Limits,
    to_bytes: impl Fn(&Body<'_>, usize) -> serde_json::Result<Vec<u8>>,
) -> Vec<u8> {
    let max = usize::try_from(limits.max_body).unwrap_or(usize::MAX);
    let verdict = report.verdict();
    let none = Fit::default();
    let mut body = Body {
        id: id.raw(),
        is_passed: verdict == Verdict::Success,
        duration: millis(report.duration),
        test_results: TestResults { cases: &[], fit: &none },
        is_error: verdict == Verdict::Error,
        error_details: "",
    };
    // The details depend on what is left out, so the most that they can take is set aside.
    let skeleton = json_size(&body);
    let room = max.saturating_sub(skeleton);
    let details_room = limits.max_error_details.saturating_mul(4).min(room / 2);
    let fit = fit(report, limits, room - details_room);
    body.test_results = TestResults { cases: &report.cases, fit: &fit };
    let left = max.saturating_sub(json_size(&body));
    let details = details(report, limits.max_error_details, left, &fit);
    body.error_details = &details;
    // Writing into memory what has been written once cannot fail; an empty body would be refused, not lost.
    to_bytes(&body, json_size(&body)).unwrap_or_default()
}

/// Finds what must be left out for the cases to take at most `room` bytes.
fn fit(report: &Report, limits: &Limits, room: usize) -> Fit {
    let cases = &report.cases;
    let mut fit = Fit {
        description: usize::try_from(limits.max_description).unwrap_or(usize::MAX),
        left_out: Vec::new(),
    };
    let size = |fit: &Fit| json_size(&TestResults { cases, fit });
    let mut total = size(&fit);
    if total > room {
        let longest = cases.iter().map(|case| case.description.len()).max().unwrap_or(0);
        fit.description = fit.description.min(longest);
    }
    while total > room && fit.description > SHORTEST_DESCRIPTION {
        fit.description = (fit.description / 2).max(SHORTEST_DESCRIPTION);
        total = size(&fit);
    }
    let wanted = cases.len().min(limits.max_cases);
    if total > room || wanted < cases.len() {
        leave_out(&mut fit, cases, total, room, wanted);
    }
    fit
}

/// Leaves out cases from the end, those that passed first, until they fit.
fn leave_out(fit: &mut Fit, cases: &[Case], mut total: usize, room: usize, max_cases: usize) {
    let mut left = cases.len();
    fit.left_out = vec![false; cases.len()];
    for passed in [true, false] {
        for (i, case) in cases.iter().enumerate().rev() {
            if total <= room && left <= max_cases {
                return;
            }
            if (case.outcome == Outcome::Passed) == passed {
                let comma = 1;
                total = total.saturating_sub(json_size(&test_result(case, fit.description)) + comma);
                fit.left_out[i] = true;
                left -= 1;
            }
        }
    }
}

/// What there is to say about the run: the fault, or which tests broke; then what is missing from the list.
fn details(report: &Report, max_chars: usize, max_bytes: usize, fit: &Fit) -> String {
    let what = match &report.fault {
        Some(fault) => one_line(&fault.message).trim().to_owned(),
        None if report.tally.errored > 0 => broke(report),
        None => String::new(),
    };
    let left_out = fit.left_out.iter().filter(|&&out| out).count();
    let body = (left_out > 0).then(|| {
        let (out, all) = (thousands(left_out as u64), thousands(report.cases.len() as u64));
        format!("{out} of {all} cases left out to fit the result's size")
    });
    let notes: Vec<Cow<'_, str>> =
        report.cut.as_deref().map(one_line).into_iter().chain(body.map(Cow::Owned)).collect();
    let notes = notes.join("; ");
    let details = match (what.as_str(), notes.as_str()) {
        (what, "") => shorten(what, max_chars).into_owned(),
        ("", notes) => shorten(notes, max_chars).into_owned(),
        (what, notes) => {
            let notes = shorten(notes, max_chars / 2);
            let rest = max_chars.saturating_sub(notes.chars().count() + " ()".len());
            shorten(&format!("{} ({notes})", shorten(what, rest)), max_chars).into_owned()
        }
    };
    // Only where the body's limit is next to nothing.
    let mut chars = details.chars().count();
    let mut fitting = details;
    while json_size(&fitting) > max_bytes.saturating_add(2) && chars > 0 {
        chars /= 2;
        fitting = shorten(&fitting, chars).into_owned();
    }
    fitting
}

/// `2 of 12 tests broke: first name: first line`.
fn broke(report: &Report) -> String {
    let tally = &report.tally;
    let (errored, total) = (thousands(tally.errored), thousands(tally.total()));
    let tests = if tally.total() == 1 { "test" } else { "tests" };
    let mut out = format!("{errored} of {total} {tests} broke");
    if let Some(case) = report.cases.iter().find(|case| case.outcome == Outcome::Errored) {
        let description = clean(&case.description);
        // The line may still hold tabs.
        let first = one_line(description.trim().lines().next().unwrap_or(""));
        for part in [one_line(&case.name).trim(), first.trim()] {
            if !part.is_empty() {
                out.push_str(": ");
                out.push_str(part);
            }
        }
    }
    out
}

/// Whole milliseconds, to the nearest.
fn millis(duration: Duration) -> u64 {
    let rounded = duration.saturating_add(Duration::from_micros(500)).as_millis();
    u64::try_from(rounded).unwrap_or(u64::MAX).min(LARGEST)
}

/// Bytes of `value` as JSON, counted without being kept.
fn json_size(value: &impl Serialize) -> usize {
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
    // Neither the sink nor these types can fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Whether a 200's body can be the backend's own word that it has the result: any JSON. The deployed backend answers
/// with an object with an `id`, others with something else; a page of a proxy in between is no JSON.
pub fn is_receipt(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod tests;
