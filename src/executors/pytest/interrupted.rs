//! Corrects the result of the test that was running when pytest was stopped.

use report::{Outcome, Report, UNNAMED};

/// Changes the test that was running when the suite was stopped from passed to errored. pytest lists it last in its report
/// file, with a time but without a name and without a failure, which reads as a pass. With events no such guess is needed.
pub(super) fn take_back_pass(report: &mut Report) {
    if report.finished.is_some() {
        return;
    }
    let last = report.cases.last_mut().filter(|case| case.outcome == Outcome::Passed && case.name == UNNAMED);
    let Some(last) = last else { return };
    last.outcome = Outcome::Errored;
    "interrupted: it was still running when the run was stopped".clone_into(&mut last.description);
    report.tally.passed -= 1;
    report.tally.errored += 1;
    report.unfinished += 1;
}
