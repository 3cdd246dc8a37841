//! Tests of malformed claims: the runner answers each claim that has an id, and logs the others in full.

use mock_backend::{Endpoint, Fault, FaultKind, TaskId};
use serde_json::value::RawValue;

use crate::support::{PASS, Runner, World, eventually, student, text};

#[tokio::test]
async fn id_is_returned_byte_for_byte() {
    let world = World::start().await;
    for raw in
        ["21", "12345678901234567890123", "1.0", r#""3fa85f64""#, r#""a\u0041/../\"x""#, r#"{"a": [1,2 ]}"#]
    {
        let id = world.submit_with(PASS, |task| task.id(TaskId::raw(raw)));
        world.answer(&id).await;
        let stored = world.backend.result_of(&id).unwrap();
        let body: std::collections::HashMap<String, Box<RawValue>> =
            serde_json::from_slice(&stored.body).unwrap();
        assert_eq!(body["id"].get(), raw);
    }
}

#[tokio::test]
async fn malformed_task_is_answered_with_bad_field() {
    let world = World::start().await;
    let cases: [(&str, Option<&str>, &str); 8] = [
        ("repositoryUrl", None, "repositoryUrl"),
        ("branch", None, "branch"),
        ("branch", Some("null"), "branch"),
        ("branch", Some("7"), "branch"),
        ("repositoryUrl", Some("\"ftp://x/y\""), "repositoryUrl"),
        ("repositoryUrl", Some("\"ext::sh -c id\""), "repositoryUrl"),
        ("laboratoryNumber", Some("\"one\""), "laboratoryNumber"),
        ("connectedTests", Some("[1]"), "connectedTests"),
    ];
    for (field, value, message) in cases {
        let id = world.submit_with(PASS, |task| match value {
            Some(value) => task.field(field, value),
            None => task.without(field),
        });
        let answer = world.answer(&id).await;
        assert_eq!(answer["isError"], true, "{field} {value:?}");
        assert_eq!(world.fault(&id), "claim/task", "{field} {value:?}: {answer}");
        assert!(text(&answer, "errorDetails").contains(message), "{field} {value:?}: {answer}");
    }
    world.assert_clean();
}

#[tokio::test]
async fn optional_claim_fields_may_be_absent() {
    let world = World::start().await;
    let id = world.submit_with(PASS, |task| {
        task.without("status")
            .field("laboratoryNumber", "null")
            .field("connectedTests", "[]")
            .field("new", "[{}]")
    });
    assert_eq!(world.answer(&id).await["isPassed"], true);
}

#[tokio::test]
async fn claim_without_id_is_logged_in_full() {
    let world = World::start().await;
    world
        .backend
        .submit_raw(r#"{"status":"AVAILABLE","repositoryUrl":"https://x/marked-lost.git","branch":"b"}"#);
    world.backend.submit_raw("<html>a proxy's page</html>");
    let id = world.submit(PASS);
    assert_eq!(world.answer(&id).await["isPassed"], true);
    eventually("both claims are in the log", || {
        let log = world.runner.log();
        log.contains("marked-lost.git") && log.contains("a proxy's page")
    })
    .await;
}

#[tokio::test]
async fn cut_claim_is_answered_if_id_arrived() {
    let world = World::start().await;
    // The fault cuts each claim in half.
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::CutBody).forever());
    let submit = |(arrived, rest): (&str, &str)| {
        let claim = format!("{arrived}{rest:<0$}", arrived.len());
        assert_eq!(claim.len(), 2 * arrived.len(), "{claim}");
        world.backend.submit_raw(claim).unwrap()
    };
    let enough = [
        (r#"{"id":75,"#, r#""a":1}"#),
        (r#"{"repositoryUrl":"https://h/r.git","id":76 "#, "}"),
        (r#"{"x":"\"id\":998,","id":82,"re"#, r#"po":1}"#),
    ]
    .map(submit);
    let too_little = [
        (r#"{"marked":1,"id":7"#, "1}"),
        (r#"{"marked":2,"x":"\"id\":998,"#, r#"","id":5}"#),
        (r#"{"marked":3,"y":{"id":997},"#, r#""id":6}"#),
    ]
    .map(submit);
    for id in &enough {
        let answer = world.answer(id).await;
        assert_eq!(answer["isError"], true, "{answer}");
        assert_eq!(world.fault(id), "claim/task", "{answer}");
    }
    eventually("the claims without an id are logged", || {
        let bodies: Vec<_> =
            world.runner.events("claim_malformed").iter().map(|event| event["body"].to_string()).collect();
        (1..=3).all(|mark| bodies.iter().any(|body| body.contains(&format!(r#"marked\":{mark},"#))))
    })
    .await;
    world.backend.clear_faults();
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    assert!(too_little.iter().all(|id| world.backend.result_of(id).is_none()));
    assert!(world.backend.refusals().is_empty(), "{:?}", world.backend.refusals());
}

#[tokio::test]
async fn local_repositories_need_permission() {
    let world = World::with(mock_backend::Settings::default(), &["--allow-local-repositories"]).await;
    let repository = student(&world.fresh("student"), PASS);
    let id = world.backend.submit(mock_backend::NewTask::new(&repository.url(), "main"));
    assert_eq!(world.answer(&id).await["isPassed"], true);

    let strict = World::without_local_repositories().await;
    for url in [repository.url(), repository.url().replace("file://", "")] {
        let id = strict.backend.submit(mock_backend::NewTask::new(&url, "main"));
        let answer = strict.answer(&id).await;
        assert!(text(&answer, "errorDetails").contains("--allow-local-repositories"), "{answer}");
    }
}

#[tokio::test]
async fn malformed_claim_answers_do_not_block() {
    let world = World::with(mock_backend::Settings::default(), &["--claim-timeout", "1"]).await;
    for kind in [
        FaultKind::Html200,
        FaultKind::Garbage,
        FaultKind::Empty,
        FaultKind::Endless,
        FaultKind::Redirect(format!("{}/api/task/available", world.backend.url())),
        FaultKind::status(500),
        FaultKind::DropBefore,
    ] {
        world.backend.fault(Fault::new(Endpoint::Claim, kind.clone()));
        eventually("the fault was applied", || world.backend.faults().is_empty()).await;
        let id = world.submit(PASS);
        assert_eq!(world.answer(&id).await["isPassed"], true, "{kind:?}");
    }
    // At one byte per second the claim misses its deadline. The runner answers the task or logs what it received.
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::Drip(std::time::Duration::from_secs(1))));
    world.submit(PASS);
    eventually("the event is logged", || world.runner.logged("claim_malformed")).await;
    let id = world.submit(PASS);
    assert_eq!(world.answer(&id).await["isPassed"], true);
}

#[tokio::test]
async fn unresolvable_backend_is_logged_and_stop_works() {
    let home = tempfile::tempdir().unwrap();
    let mut runner =
        Runner::start(home.path(), "http://no-such-host.invalid", &["--mock", "--check-interval", "100ms"]);
    eventually("the event is logged", || runner.logged("claim_failed")).await;
    runner.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(runner.ended(std::time::Duration::from_secs(10)).await.success());
}
