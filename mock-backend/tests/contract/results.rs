//! Results: which bodies are accepted or refused, with which status, and what is recorded.

use mock_backend::{Limits, MockBackend, NewTask, Settings, Status, TaskId};
use serde_json::{Value, json};

use crate::client::{BOUND, RESULT, claim, exchange, post, result};

async fn claimed(settings: Settings) -> (MockBackend, TaskId) {
    let backend = MockBackend::start(settings).await.unwrap();
    let id = backend.submit(NewTask::new("u", "b").id(TaskId::from(21)));
    claim(&backend).await;
    (backend, id)
}

fn with(field: &str, value: impl Into<Value>) -> String {
    let mut body = result(21);
    body[field] = value.into();
    body.to_string()
}

#[tokio::test]
async fn accepts_result_and_keeps_exact_body() {
    let (backend, id) = claimed(Settings::default()).await;
    let body = format!("{}\n ", result(21));
    let response = post(&backend, RESULT, &body).await;
    assert_eq!((response.status, response.json()), (200, json!({"id": 21})));
    let stored = backend.next_result(BOUND).await.unwrap();
    assert_eq!(stored.id, id);
    assert_eq!(stored.body, body.as_bytes());
    assert_eq!(stored.result.test_results[0].memory_used, 3);
    assert_eq!(backend.status_of(&id), Some(Status::Success));
    assert!(backend.violations().is_empty(), "{:?}", backend.violations());
    let request = backend.requests().pop().unwrap();
    assert_eq!((request.method.as_str(), request.status), ("POST", Some(200)));
    assert_eq!(request.body, body.as_bytes());
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn derives_status_from_result() {
    for (passed, error, expected) in [
        (true, false, Status::Success),
        (false, false, Status::Failure),
        (false, true, Status::Error),
        (true, true, Status::Error),
    ] {
        let (backend, id) = claimed(Settings::default()).await;
        let mut body = result(21);
        body["isPassed"] = json!(passed);
        body["isError"] = json!(error);
        assert_eq!(post(&backend, RESULT, body.to_string()).await.status, 200);
        assert_eq!(backend.status_of(&id), Some(expected));
    }
}

#[tokio::test]
async fn counts_duplicate_results() {
    let (backend, id) = claimed(Settings::default()).await;
    for _ in 0..2 {
        assert_eq!(post(&backend, RESULT, result(21).to_string()).await.status, 200);
    }
    let stored = backend.result_of(&id).unwrap();
    assert_eq!((stored.deliveries, stored.versions.len(), backend.results().len()), (2, 1, 1));
    assert!(backend.violations().is_empty());
}

#[tokio::test]
async fn refuses_invalid_body_and_unknown_id_with_400() {
    let (backend, id) = claimed(Settings::default()).await;
    let mut missing = result(21);
    missing.as_object_mut().unwrap().remove("isError");
    let bodies = [
        "{".to_owned(),
        String::new(),
        missing.to_string(),
        with("duration", "12"),
        with("duration", 1.5),
        with("testResults", Value::Null),
        with("id", 22),
    ];
    for body in &bodies {
        let response = post(&backend, RESULT, body).await;
        assert_eq!(response.status, 400, "{body}");
        assert!(response.json()["message"].is_string(), "has a reason");
    }
    assert_eq!(backend.status_of(&id), Some(Status::InProgress));
    assert_eq!(backend.refusals().len(), bodies.len());
    assert_eq!(backend.violations().len(), bodies.len());
    assert_eq!(backend.refusals()[0].body, "{".as_bytes());
}

#[tokio::test]
async fn refuses_unstorable_result_every_time_with_500() {
    let (backend, id) = claimed(Settings::default()).await;
    let raw = |escape: &str| result(21).to_string().replace("test_a", escape);
    let bodies =
        [with("errorDetails", "ж".repeat(256)), raw(r"\u0000"), raw(r"\ud800"), raw(r"\udc00\ud800")];
    for body in bodies.iter().chain(&bodies) {
        assert_eq!(post(&backend, RESULT, body).await.status, 500, "{body}");
    }
    assert_eq!(backend.status_of(&id), Some(Status::InProgress));
    assert!(backend.results().is_empty());
    for body in [with("errorDetails", "ж".repeat(255)), raw(r"\ud83d\ude00 \\u0000 \u0001")] {
        assert_eq!(post(&backend, RESULT, &body).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn refuses_body_over_limit_with_413() {
    let limits = Limits { body: Some(400), ..Limits::default() };
    let (backend, _) = claimed(Settings { limits, ..Settings::default() }).await;
    assert_eq!(post(&backend, RESULT, with("errorDetails", "x".repeat(400))).await.status, 413);
    assert_eq!(post(&backend, RESULT, result(21).to_string()).await.status, 200);
}

#[tokio::test]
async fn accepts_and_records_contract_violations() {
    let (backend, _) = claimed(Settings::default()).await;
    let reformatted = result(21).to_string().replace(r#""id":21"#, r#""id":21.0"#);
    assert_eq!(post(&backend, RESULT, reformatted).await.status, 400, "21.0 is not 21");
    let headers = [("Content-Type", "text/plain")];
    let body = with("duration", -1);
    let response = exchange(backend.address(), "POST", RESULT, &headers, body.as_bytes()).await.unwrap();
    assert_eq!(response.status, 200);
    backend.submit(NewTask::new("u", "b").id(TaskId::string("a")));
    assert_eq!(
        post(&backend, RESULT, result("a").to_string().replace("\"a\"", r#""\u0061""#)).await.status,
        200
    );
    let found: Vec<_> = backend.violations().into_iter().map(|violation| violation.description).collect();
    let expected = [
        "refused with 400: no attempt has the id 21.0",
        "the Content-Type of a result is `text/plain`",
        "duration is negative",
        r#"the id was reformatted: "\u0061""#,
        "result for an attempt that was never claimed",
    ];
    assert_eq!(found, expected);
}
