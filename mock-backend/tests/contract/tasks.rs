//! Claims: what is handed out, once, and in which form.

use std::time::Duration;

use mock_backend::{IdKind, MockBackend, NewTask, Paths, Settings, Status, Sweep, TaskId};
use serde_json::json;

use crate::client::{BOUND, RESULT, claim, exchange, get, post, result};

#[tokio::test]
async fn a_claim_is_destructive_and_no_work_is_unavailable() {
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
async fn ids_are_integers_when_asked_for_or_whatever_the_caller_wants() {
    let settings = Settings { ids: IdKind::Integer, ..Settings::default() };
    let backend = MockBackend::start(settings).await.unwrap();
    backend.submit(NewTask::new("u", "b"));
    backend.submit(NewTask::new("u", "b").id(TaskId::raw("123456789012345678901234567890.50")));
    assert_eq!(claim(&backend).await["id"], json!(1));
    let answer = get(&backend, crate::client::CLAIM).await;
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.contains(r#""id":123456789012345678901234567890.50,"#), "{text}");
}

#[tokio::test]
async fn raw_bytes_answer_one_claim_as_they_are() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    assert_eq!(backend.submit_raw(&b"\xff no json"[..]), None);
    let id = backend.submit_raw(r#"{"id": {"a": [1]}, "branch": 7}"#);
    assert_eq!(id, Some(TaskId::raw(r#"{"a": [1]}"#)));
    assert_eq!(get(&backend, crate::client::CLAIM).await.body, b"\xff no json");
    assert_eq!(claim(&backend).await["branch"], 7);
    // Its id is known, so that it can be answered.
    let body = result("x").to_string().replace(r#""x""#, r#"{"a": [1]}"#);
    assert_eq!(post(&backend, RESULT, body).await.status, 200);
}

#[tokio::test]
async fn the_sweep_gives_up_what_is_old_and_a_late_result_replaces_it() {
    let sweep = Sweep { every: Duration::from_millis(10), age: Duration::from_millis(40) };
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
async fn paths_are_settings_and_all_others_are_404_or_405() {
    let paths = Paths { claim: "/next".into(), ..Paths::default() };
    let backend = MockBackend::start(Settings { paths, ..Settings::default() }).await.unwrap();
    assert_eq!(claim_at(&backend, "GET", "/next").await, 200);
    assert_eq!(claim_at(&backend, "GET", "/api/task/available").await, 404);
    assert_eq!(claim_at(&backend, "POST", "/next").await, 405);
    let statuses: Vec<_> = backend.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(200), Some(404), Some(405)], "strangers are recorded too");
    let wrong = Paths { claim: "next".into(), ..Paths::default() };
    assert!(MockBackend::start(Settings { paths: wrong, ..Settings::default() }).await.is_err());
}

async fn claim_at(backend: &MockBackend, method: &str, path: &str) -> u16 {
    exchange(backend.address(), method, path, &[], b"").await.unwrap().status
}
