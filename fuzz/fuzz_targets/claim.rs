//! Any bytes as the answer to a question for work: a claimed task is never lost, never made up, and is answered
//! under the very id that came.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use ostest_runner::backend::wire::{Claim, claim};
use ostest_runner::task::{Task, TaskId};
use ostest_runner_fuzz::checks::check_body_of;
use report::{Limits, Report};
use serde_json::value::RawValue;

fuzz_target!(|body: &[u8]| {
    assert_eq!(claim(204, body), Claim::NoWork);
    assert_eq!(claim(404, body), Claim::NotFound);
    assert!(matches!(claim(500, body), Claim::Unanswerable { .. }));

    let text = String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body));
    let whole = claim(200, body);
    check(&text, &whole);
    if !check_against_a_map(&text, &whole) {
        return;
    }
    // An answer that was cut off in transit is no task, and no "no work" either unless nothing came at all.
    for cut in cuts(text.trim_end()) {
        let part = claim(200, cut.as_bytes());
        check(cut, &part);
        let lost = matches!(part, Claim::NoWork) && !cut.trim().is_empty();
        assert!(!lost && !matches!(part, Claim::Task(_)), "{cut:?} became {part:?}");
    }
});

/// Some beginnings of a text, the shortest ones of its end among them.
fn cuts(text: &str) -> impl Iterator<Item = &str> {
    let step = text.len() / 64 + 1;
    let near = text.len().saturating_sub(24)..text.len();
    let far = (0..text.len()).step_by(step);
    near.chain(far).filter_map(|at| text.get(..at))
}

/// What holds of every claim, whole or cut.
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

fn check_id(text: &str, id: &TaskId, report: &Report) {
    let raw = id.raw().get();
    assert!(text.contains(raw) && raw != "null", "{raw} is not in {text}");
    let shown = id.for_log();
    assert!(shown.chars().count() <= 81 && !shown.contains(char::is_control), "{shown:?}");
    check_body_of(id, report, &Limits::default());
}

/// What a plain map of the fields says must come out. Whether the answer is an object at all.
fn check_against_a_map(text: &str, claim: &Claim) -> bool {
    let map: HashMap<String, Box<RawValue>> = match serde_json::from_str(text) {
        Ok(map) => map,
        Err(_) => {
            assert!(!matches!(claim, Claim::Task(_)), "{text:?} is no object and became {claim:?}");
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
