//! The body of a result: serialized within the limits of its size.

use serde::Serialize;
use serde_json::value::RawValue;

use super::cases::{Fit, TestResults, json_size, millis};
use super::details::details;
use super::fit::fit;
use crate::task::TaskId;
use report::{Limits, Report, Verdict};

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

/// Serializes a result in at most [`Limits::max_body`] bytes, if that is enough for the id. To fit, descriptions are
/// shortened first, then passed cases are omitted, then other cases, each from the end.
pub fn result_body(id: &TaskId, report: &Report, limits: &Limits) -> Vec<u8> {
    write(id, report, limits, |body, size| {
        let mut out = Vec::with_capacity(size);
        serde_json::to_writer(&mut out, body).map(|()| out)
    })
}

/// Serializes the same result, indented for people.
pub fn result_body_pretty(id: &TaskId, report: &Report, limits: &Limits) -> Vec<u8> {
    write(id, report, limits, |body, size| {
        let mut out = Vec::with_capacity(size);
        serde_json::to_writer_pretty(&mut out, body).map(|()| out)
    })
}

/// Fits the result into the limits and serializes it with `to_bytes`, which gets the expected size in bytes.
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
    // The details depend on the omitted cases, so their maximum size is reserved first.
    let skeleton = json_size(&body);
    let room = max.saturating_sub(skeleton);
    let details_room = limits.max_error_details.saturating_mul(4).min(room / 2);
    let fit = fit(report, limits, room - details_room);
    body.test_results = TestResults { cases: &report.cases, fit: &fit };
    let left = max.saturating_sub(json_size(&body));
    let details = details(report, limits.max_error_details, left, &fit);
    body.error_details = &details;
    // Serialization to memory cannot fail after it succeeded once; the backend would reject an empty body.
    to_bytes(&body, json_size(&body)).unwrap_or_default()
}
