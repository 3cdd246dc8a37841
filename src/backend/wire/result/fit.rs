//! Decides what to shorten and omit so that a result fits its size limit.

use super::cases::{Fit, TestResults, json_size, test_result};
use report::{Case, Limits, Outcome, Report};

/// Descriptions are shortened to at least this many bytes; then cases are omitted.
const MIN_DESCRIPTION: usize = 128;

/// Finds a [`Fit`] with which the cases take at most `room` bytes.
pub(super) fn fit(report: &Report, limits: &Limits, room: usize) -> Fit {
    let cases = &report.cases;
    let mut fit = Fit {
        description: usize::try_from(limits.max_description).unwrap_or(usize::MAX),
        omitted: Vec::new(),
    };
    let size = |fit: &Fit| json_size(&TestResults { cases, fit });
    let mut total = size(&fit);
    if total > room {
        let longest = cases.iter().map(|case| case.description.len()).max().unwrap_or(0);
        fit.description = fit.description.min(longest);
    }
    while total > room && fit.description > MIN_DESCRIPTION {
        fit.description = (fit.description / 2).max(MIN_DESCRIPTION);
        total = size(&fit);
    }
    let wanted = cases.len().min(limits.max_cases);
    if total > room || wanted < cases.len() {
        omit(&mut fit, cases, total, room, wanted);
    }
    fit
}

/// Omits cases from the end, passed ones first, until the rest has at most `room` bytes and `max_cases` cases.
fn omit(fit: &mut Fit, cases: &[Case], mut total: usize, room: usize, max_cases: usize) {
    let mut left = cases.len();
    fit.omitted = vec![false; cases.len()];
    for passed in [true, false] {
        for (i, case) in cases.iter().enumerate().rev() {
            if total <= room && left <= max_cases {
                return;
            }
            if (case.outcome == Outcome::Passed) == passed {
                let comma = 1;
                total = total.saturating_sub(json_size(&test_result(case, fit.description)) + comma);
                fit.omitted[i] = true;
                left -= 1;
            }
        }
    }
}
