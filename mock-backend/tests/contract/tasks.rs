//! Claims: which tasks they return, and in which form.

use std::time::Duration;

use mock_backend::{IdKind, MockBackend, NewTask, Paths, Settings, Status, Sweep, TaskId};
use serde_json::json;

use crate::client::{BOUND, RESULT, claim, exchange, get, post, result};

#[tokio::test]
async fn claims_each_task_once_then_unavailable() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    assert_eq!(claim(&backend).await, json!({"status": "UNAVAILABLE"}));
    let id = backend.submit(NewTask::new("https://example.org/a.git", "main").lab(2).tests(["a"]));
    assert_eq!(backend.status_of(&id), Some(Status::Pending));
    let expected = json!({
        "status": "AVAILABLE", "id": id.to_string(), "repositoryUrl": "https://example.org/a.git",
        "branch": "main", "laboratoryNumber": 2, "connectedTests": ["a"],
    });
    assert_eq!(claim(&backend).await, expected);
    assert_eq!(backend.status_of(&id), Some(Status::InProgress));
    assert_eq!(claim(&backend).await, json!({"status": "UNAVAILABLE"}));
}

#[tokio::test]
async fn generates_integer_ids_and_keeps_given_ids() {
    let settings = Settings { ids: IdKind::Integer, ..Settings::default() };
    let backend = MockBackend::start(settings).await.unwrap();
    backend.submit(NewTask::new("u", "b"));
    backend.submit(NewTask::new("u", "b").id(TaskId::raw("123456789012345678901234567890.50")));
    assert_eq!(claim(&backend).await["id"], json!(1));
    let response = get(&backend, crate::client::CLAIM).await;
    let text = String::from_utf8(response.body).unwrap();
    assert!(text.contains(r#""id":123456789012345678901234567890.50,"#), "{text}");
}

#[tokio::test]
async fn raw_claim_is_returned_unchanged() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    assert_eq!(backend.submit_raw(&b"\xff no json"[..]), None);
    let id = backend.submit_raw(r#"{"id": {"a": [1]}, "branch": 7}"#);
    assert_eq!(id, Some(TaskId::raw(r#"{"a": [1]}"#)));
    assert_eq!(get(&backend, crate::client::CLAIM).await.body, b"\xff no json");
    assert_eq!(claim(&backend).await["branch"], 7);
    // The id was parsed from the raw claim, so a result is accepted.
    let body = result("x").to_string().replace(r#""x""#, r#"{"a": [1]}"#);
    assert_eq!(post(&backend, RESULT, body).await.status, 200);
}

#[tokio::test]
async fn sweep_times_out_claims_until_late_result() {
    let sweep = Sweep { interval: Duration::from_millis(10), max_age: Duration::from_millis(40) };
    let backend = MockBackend::start(Settings { sweep, ..Settings::default() }).await.unwrap();
    let (id, unclaimed) = (backend.submit(NewTask::new("u", "b")), backend.submit(NewTask::new("u", "b")));
    claim(&backend).await;
    let timed_out = |backend: &MockBackend| (backend.status_of(&id) == Some(Status::Timeout)).then_some(());
    backend.wait_for("the sweep", BOUND, timed_out).await.unwrap();
    assert_eq!(backend.status_of(&unclaimed), Some(Status::Pending));
    assert_eq!(post(&backend, RESULT, result(id.to_string()).to_string()).await.status, 200);
    assert_eq!(backend.status_of(&id), Some(Status::Success));
}

#[tokio::test]
async fn serves_configured_paths_only() {
    let paths = Paths { claim: "/next".into(), ..Paths::default() };
    let backend = MockBackend::start(Settings { paths, ..Settings::default() }).await.unwrap();
    assert_eq!(claim_at(&backend, "GET", "/next").await, 200);
    assert_eq!(claim_at(&backend, "GET", "/api/task/available").await, 404);
    assert_eq!(claim_at(&backend, "POST", "/next").await, 405);
    let statuses: Vec<_> = backend.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(200), Some(404), Some(405)], "unknown paths are recorded too");
    let invalid = Paths { claim: "next".into(), ..Paths::default() };
    assert!(MockBackend::start(Settings { paths: invalid, ..Settings::default() }).await.is_err());
}

async fn claim_at(backend: &MockBackend, method: &str, path: &str) -> u16 {
    exchange(backend.address(), method, path, &[], b"").await.unwrap().status
}
