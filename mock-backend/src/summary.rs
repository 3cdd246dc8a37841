//! Text output for people: the table of the attempts, the state, and the page at `/`.

use std::fmt::Write as _;

use crate::records::{Attempt, Status};
use crate::shared::Shared;

/// A table with one line for each attempt: id, status, duration, cases.
pub(crate) fn table(attempts: &[Attempt]) -> String {
    let mut text = format!("{:<38} {:<11} {:>12}  CASES PASSED\n", "ID", "STATUS", "DURATION, MS");
    for attempt in attempts {
        let id = attempt.id.as_ref().map_or("(without id)".to_owned(), ToString::to_string);
        let (duration, cases) = attempt.result.as_ref().map_or_else(Default::default, |stored| {
            let cases = &stored.result.test_results;
            let passed = cases.iter().filter(|case| case.is_passed).count();
            (stored.result.duration.to_string(), format!("{passed} of {}", cases.len()))
        });
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{id:<38} {:<11} {duration:>12}  {cases}", attempt.status);
    }
    text
}

/// The state in two lines: number of attempts for each status, and sizes of the lists. Also part of the timeout error.
pub(crate) fn state(shared: &Shared) -> String {
    let store = shared.store();
    let count = |status: Status| store.attempts.iter().filter(|attempt| attempt.status == status).count();
    let mut text = String::new();
    for status in [
        Status::Pending,
        Status::InProgress,
        Status::Success,
        Status::Failure,
        Status::Error,
        Status::Timeout,
    ] {
        let _ = write!(text, "{status} {}  ", count(status));
    }
    let _ = write!(
        text,
        "\nrequests {}  refused results {}  violations {}  faults set {}\n",
        store.requests.len(),
        store.refusals.len(),
        store.violations.len(),
        shared.faults().0.len(),
    );
    text
}

/// The last requests, at most `limit`, one line each, the newest last.
pub(crate) fn last_requests(shared: &Shared, limit: usize) -> String {
    let store = shared.store();
    let from = store.requests.len().saturating_sub(limit);
    store.requests.range(from..).fold(String::new(), |mut text, request| {
        let status = request.status.map_or("no answer".to_owned(), |status| status.to_string());
        let fault = request.fault.as_ref().map(|fault| format!(" ({fault})")).unwrap_or_default();
        let ago = request.at.elapsed().as_secs_f32();
        let _ = writeln!(text, "  {ago:>7.2} s ago  {} {} -> {status}{fault}", request.method, request.path);
        text
    })
}

/// The page at `/`: state, last attempts, last requests and endpoints, followed by `help`.
pub(crate) fn page(shared: &Shared, help: &str) -> String {
    const SHOWN: usize = 30;
    let attempts = {
        let store = shared.store();
        store.attempts[store.attempts.len().saturating_sub(SHOWN)..].to_vec()
    };
    let paths = &shared.settings.paths;
    format!(
        "A mock of the OSTEST backend\n\n{}\nThe last {SHOWN} attempts:\n{}\nThe last {SHOWN} requests:\n{}\n\
         The contract:\n  GET  {}\n  POST {}\n  POST {}\n  POST {}\n\n{help}",
        state(shared),
        table(&attempts),
        last_requests(shared, SHOWN),
        paths.claim,
        paths.result,
        paths.login,
        paths.refresh,
    )
}
