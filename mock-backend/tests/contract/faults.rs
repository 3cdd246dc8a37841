//! Every kind of fault: what the client receives, and what the backend records.

use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind, MockBackend, NewTask, Settings, Status, TaskId};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{BOUND, CLAIM, RESULT, Response, claim, exchange, get, parse, post, request, result};

async fn with_task(kind: FaultKind) -> (MockBackend, TaskId) {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    let id = backend.submit(NewTask::new("u", "b").id(TaskId::from(21)));
    backend.fault(Fault::new(Endpoint::Claim, kind));
    (backend, id)
}

async fn try_claim(backend: &MockBackend) -> std::io::Result<Response> {
    exchange(backend.address(), "GET", CLAIM, &[], b"").await
}

#[tokio::test]
async fn status_fault_applies_count_times_with_headers() {
    let (backend, id) = with_task(FaultKind::retry_after(429, 7)).await;
    backend.fault(Fault::new(Endpoint::Claim, FaultKind::status(204)).times(2));
    let first = get(&backend, CLAIM).await;
    assert_eq!((first.status, first.header("retry-after")), (429, Some("7")));
    for _ in 0..2 {
        let response = get(&backend, CLAIM).await;
        assert_eq!((response.status, response.body.len()), (204, 0));
    }
    assert_eq!(backend.status_of(&id), Some(Status::Pending), "nothing was processed");
    assert_eq!(claim(&backend).await["id"], 21);
    let record = &backend.requests()[0];
    assert_eq!((record.status, record.fault.as_deref()), (Some(429), Some("status=429,Retry-After=7")));
}

#[tokio::test]
async fn replacement_responses_process_nothing() {
    for (kind, status, part) in [
        (FaultKind::Garbage, 200, &b"\xff"[..]),
        (FaultKind::Html200, 200, b"<html>"),
        (FaultKind::Empty, 200, b""),
        (FaultKind::Redirect("http://127.0.0.1:1/x".into()), 302, b""),
    ] {
        let (backend, id) = with_task(kind.clone()).await;
        let response = get(&backend, CLAIM).await;
        assert_eq!(response.status, status, "{kind:?}");
        let found = part.is_empty() && response.body.is_empty()
            || response.body.windows(part.len().max(1)).any(|window| window == part);
        assert!(found, "{kind:?}: {response:?}");
        assert!(response.header("date").is_some(), "{kind:?}");
        let location = matches!(kind, FaultKind::Redirect(_)).then_some("http://127.0.0.1:1/x");
        assert_eq!(response.header("location"), location);
        assert_eq!(backend.status_of(&id), Some(Status::Pending), "{kind:?}");
    }
}

#[tokio::test]
async fn drop_before_skips_and_drop_after_keeps_processing() {
    for (kind, expected) in
        [(FaultKind::DropBefore, Status::Pending), (FaultKind::DropAfter, Status::InProgress)]
    {
        let (backend, id) = with_task(kind.clone()).await;
        assert!(try_claim(&backend).await.is_err(), "{kind:?}");
        assert_eq!(backend.status_of(&id), Some(expected), "{kind:?}");
        let record = backend.requests().pop().unwrap();
        assert_eq!((record.status, record.fault.as_deref()), (None, Some(kind.to_string().as_str())));
    }
    let (backend, id) = with_task(FaultKind::Delay(Duration::ZERO)).await;
    claim(&backend).await;
    backend.fault(Fault::new(Endpoint::Result, FaultKind::DropAfter));
    let body = result(21).to_string();
    assert!(exchange(backend.address(), "POST", RESULT, &[], body.as_bytes()).await.is_err());
    assert_eq!(backend.status_of(&id), Some(Status::Success), "stored without a response");
    assert_eq!(post(&backend, RESULT, &body).await.status, 200);
    assert_eq!(backend.result_of(&id).unwrap().deliveries, 2);
}

#[tokio::test]
async fn cut_sends_full_length_and_half_body() {
    let (backend, id) = with_task(FaultKind::CutBody).await;
    let response = get(&backend, CLAIM).await;
    let whole = backend.attempts()[0].claim.clone();
    assert_eq!(response.header("content-length"), Some(whole.len().to_string().as_str()));
    assert_eq!(response.body, whole[..whole.len() / 2]);
    assert_eq!(backend.status_of(&id), Some(Status::InProgress));
}

#[tokio::test]
async fn drip_sends_whole_body_slowly() {
    let (backend, _) = with_task(FaultKind::Drip(Duration::from_millis(3))).await;
    let started = Instant::now();
    let response = get(&backend, CLAIM).await;
    assert_eq!(response.json()["id"], 21);
    let pauses = u32::try_from(response.body.len()).unwrap() - 1;
    assert!(started.elapsed() >= pauses * Duration::from_millis(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn endless_body_does_not_block_other_clients() {
    let (backend, id) = with_task(FaultKind::Endless).await;
    let mut stream = TcpStream::connect(backend.address()).await.unwrap();
    stream.write_all(&request("GET", CLAIM, &[], b"")).await.unwrap();
    let mut bytes = vec![0; 3_000_000];
    timeout(BOUND, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(parse(&bytes).unwrap().status, 200);
    assert_eq!(backend.status_of(&id), Some(Status::Pending));
    assert_eq!(claim(&backend).await["id"], 21);
}

#[tokio::test]
async fn delay_processes_after_and_late_before_waiting() {
    const TIME: Duration = Duration::from_millis(400);
    for (kind, meanwhile) in
        [(FaultKind::Delay(TIME), Status::Pending), (FaultKind::Late(TIME), Status::InProgress)]
    {
        let (backend, id) = with_task(kind.clone()).await;
        let started = Instant::now();
        let status_halfway = async {
            tokio::time::sleep(TIME / 2).await;
            backend.status_of(&id)
        };
        let (response, status) = tokio::join!(get(&backend, CLAIM), status_halfway);
        assert_eq!((response.json()["id"].clone(), status), (json!(21), Some(meanwhile)), "{kind:?}");
        assert!(started.elapsed() >= TIME, "{kind:?}");
    }
}

#[tokio::test]
async fn delayed_claim_survives_client_disconnect() {
    let (backend, id) = with_task(FaultKind::Delay(Duration::from_millis(100))).await;
    let mut stream = TcpStream::connect(backend.address()).await.unwrap();
    stream.write_all(&request("GET", CLAIM, &[], b"")).await.unwrap();
    backend.wait_for_requests("the claim", BOUND, |requests| requests.len() == 1).await.unwrap();
    drop(stream);
    let claimed = |backend: &MockBackend| (backend.status_of(&id) == Some(Status::InProgress)).then_some(());
    backend.wait_for("the claim to be processed", BOUND, claimed).await.unwrap();
}

#[tokio::test]
async fn clears_faults() {
    let (backend, _) = with_task(FaultKind::status(503)).await;
    backend.fault(Fault::new(Endpoint::Any, FaultKind::status(500)).forever());
    assert_eq!(get(&backend, CLAIM).await.status, 503);
    assert_eq!(get(&backend, CLAIM).await.status, 500);
    assert_eq!(backend.faults().len(), 1, "the used fault is removed");
    backend.clear_faults();
    assert_eq!(get(&backend, CLAIM).await.status, 200);
}
