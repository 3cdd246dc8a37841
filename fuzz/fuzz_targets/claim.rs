//! Any bytes as the response to a request for a task: a claimed task is never lost or invented, and is answered with the
//! received id.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use ostest_runner::backend::wire::{Claim, claim, claim_from_body};
use ostest_runner::task::{Task, TaskId};
use ostest_runner_fuzz::checks::check_body_of;
use report::{Limits, Report};
use serde_json::value::RawValue;

fuzz_target!(|body: &[u8]| {
    assert_eq!(claim(204, body), Claim::NoWork);
    assert_eq!(claim(404, body), Claim::NotFound);
    assert!(matches!(claim(500, body), Claim::Unanswerable { .. }));

    let text = String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body));
    let complete = claim_from_body(body);
    assert_eq!(claim(200, body), complete);
    check(&text, &complete);
    if !check_against_map(&text, &complete) {
        return;
    }
    // A truncated response is never a task, and "no work" only if it is empty.
    for prefix in prefixes(text.trim_end()) {
        let truncated = claim_from_body(prefix.as_bytes());
        check(prefix, &truncated);
        let lost = matches!(truncated, Claim::NoWork) && !prefix.trim().is_empty();
        assert!(!lost && !matches!(truncated, Claim::Task(_)), "{prefix:?} became {truncated:?}");
    }
});

/// Some proper prefixes of a text, including the longest ones.
fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    let step = text.len() / 64 + 1;
    let near = text.len().saturating_sub(24)..text.len();
    let far = (0..text.len()).step_by(step);
    near.chain(far).filter_map(|at| text.get(..at))
}

/// Checks what must be true for every response, complete or truncated.
fn check(text: &str, claim: &Claim) {
    match claim {
        Claim::NoWork => {}
        Claim::NotFound => panic!("not found with status 200"),
        Claim::Task(task) => {
            let Task { id, repository_url, branch, tests, .. } = task;
            check_id(text, id, &Report::default());
            assert!(!repository_url.trim().is_empty());
            assert!(branch.as_deref().is_some_and(|branch| !branch.trim().is_empty()));
            assert!(tests.iter().all(|test| !test.trim().is_empty()));
        }
        Claim::Unusable { id, fault } => {
            check_id(text, id, &Report::of_fault(fault.clone(), Default::default()));
        }
        Claim::Unanswerable { reason } => {
            assert!(!reason.is_empty() && !reason.contains(char::is_control), "{reason:?}");
        }
    }
}

/// Checks that `id` is a part of the response, can be shown, and is in the body of the result.
fn check_id(text: &str, id: &TaskId, report: &Report) {
    let raw = id.raw().get();
    assert!(text.contains(raw) && raw != "null", "{raw} is not in {text}");
    let short = id.short();
    assert!(short.chars().count() <= 81 && !short.contains(char::is_control), "{short:?}");
    assert!(id.for_log().chars().count() <= 1001, "{raw}");
    check_body_of(id, report, &Limits::default());
}

/// Compares a claim with a plain map of the fields. Returns whether the response is an object.
fn check_against_map(text: &str, claim: &Claim) -> bool {
    let map: HashMap<String, Box<RawValue>> = match serde_json::from_str(text) {
        Ok(map) => map,
        Err(_) => {
            assert!(!matches!(claim, Claim::Task(_)), "{text:?} is not an object and became {claim:?}");
            let nothing = matches!(text.trim(), "" | "null");
            assert_eq!(nothing, *claim == Claim::NoWork, "{text:?} became {claim:?}");
            return false;
        }
    };
    let field = |name| map.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
    let string = |name| field(name).and_then(|raw| serde_json::from_str::<String>(raw).ok());
    let unavailable = string("status").is_some_and(|status| status.eq_ignore_ascii_case("UNAVAILABLE"));
    match (claim, field("id")) {
        (Claim::NoWork, id) => assert!(unavailable || id.is_none(), "{text} was lost"),
        (Claim::Unanswerable { .. }, id) => assert!(id.is_none() && !unavailable, "{text}: {claim:?}"),
        (Claim::Unusable { id, .. }, raw) => assert_eq!((Some(id.raw().get()), unavailable), (raw, false)),
        (Claim::Task(task), raw) => {
            assert_eq!((Some(task.id.raw().get()), unavailable), (raw, false));
            assert_eq!(Some(&task.repository_url), string("repositoryUrl").as_ref());
            assert_eq!(task.branch, string("branch"));
        }
        (Claim::NotFound, _) => unreachable!("checked before"),
    }
    true
}
