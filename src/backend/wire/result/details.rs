//! The error details of a result.

use std::borrow::Cow;

use super::cases::{Fit, json_size};
use report::{Outcome, Report};
use text::{clean, one_line, shorten, thousands};

/// Builds the details: the fault or the errored tests, then notes on omitted cases. At most `max_chars` characters and
/// `max_bytes` bytes of JSON.
pub(super) fn details(report: &Report, max_chars: usize, max_bytes: usize, fit: &Fit) -> String {
    let what = match &report.fault {
        Some(fault) => one_line(&fault.message).trim().to_owned(),
        None if report.tally.errored > 0 => errored_tests(report),
        None => String::new(),
    };
    let omitted = fit.omitted.iter().filter(|&&omitted| omitted).count();
    let body = (omitted > 0).then(|| {
        let (out, all) = (thousands(omitted as u64), thousands(report.cases.len() as u64));
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
    // Only if the limit of the body is very small.
    let mut chars = details.chars().count();
    let mut fitting = details;
    while json_size(&fitting) > max_bytes.saturating_add(2) && chars > 0 {
        chars /= 2;
        fitting = shorten(&fitting, chars).into_owned();
    }
    fitting
}

/// Summarizes errored tests: `2 of 12 tests broke: first name: first line`.
fn errored_tests(report: &Report) -> String {
    let tally = &report.tally;
    let (errored, total) = (thousands(tally.errored), thousands(tally.total()));
    let tests = if tally.total() == 1 { "test" } else { "tests" };
    let mut out = format!("{errored} of {total} {tests} broke");
    if let Some(case) = report.cases.iter().find(|case| case.outcome == Outcome::Errored) {
        let description = clean(&case.description);
        // `one_line` also replaces tabs.
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
