//! Start, stop, waits, events and connections.

use std::time::{Duration, Instant};

use mock_backend::{Event, MockBackend, NewTask, Settings, StartError, TaskId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{BOUND, CLAIM, RESULT, claim, get, post, result};

#[tokio::test]
async fn start_fails_on_taken_port_until_shutdown() {
    let first = MockBackend::start(Settings::default()).await.unwrap();
    let port = first.address().port();
    let settings = Settings { port, ..Settings::default() };
    let refused = MockBackend::start(settings.clone()).await.err().unwrap();
    assert!(matches!(refused, StartError::Bind { .. }));
    assert!(refused.to_string().contains(&format!("127.0.0.1:{port}")), "{refused}");
    first.shutdown().await;
    MockBackend::start(settings).await.unwrap();
}

#[tokio::test]
async fn drop_closes_listener_and_connections() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    let address = backend.address();
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(open.read_u8().await.is_ok());
    drop(backend);
    let ended = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(BOUND, ended).await.unwrap();
    timeout(BOUND, open.read_to_end(&mut Vec::new())).await.expect("the connection is closed").ok();
}

#[tokio::test]
async fn go_down_refuses_connections_and_keeps_state() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    backend.submit(NewTask::new("u", "b").id(TaskId::from(3)));
    backend.go_down().await;
    assert!(TcpStream::connect(backend.address()).await.is_err());
    backend.come_back().await.unwrap();
    backend.come_back().await.unwrap();
    assert_eq!(claim(&backend).await["id"], 3);
}

#[tokio::test]
async fn connection_serves_several_requests() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    let mut stream = TcpStream::connect(backend.address()).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET /api/task/available HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"}") {
            bytes.push(timeout(BOUND, stream.read_u8()).await.unwrap().unwrap());
        }
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK"));
    }
    assert_eq!(backend.requests().len(), 2);
}

#[tokio::test]
async fn waits_return_results_or_timeout_with_state() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    for id in [1_u64, 2] {
        backend.submit(NewTask::new("u", "b").id(TaskId::from(id)));
        claim(&backend).await;
    }
    let started = Instant::now();
    let error = backend.wait_for_results(1, Duration::from_millis(60)).await.unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(60) && started.elapsed() < BOUND);
    assert_eq!((error.condition.as_str(), error.timeout), ("1 results", Duration::from_millis(60)));
    assert!(error.state.contains("IN_PROGRESS 2") && error.state.contains(CLAIM), "{error}");

    let response = async {
        for id in [2, 2, 1] {
            post(&backend, RESULT, result(id).to_string()).await;
        }
    };
    let (all, ()) = tokio::join!(backend.wait_for_results(2, BOUND), response);
    assert_eq!(all.unwrap().len(), 2);
    assert_eq!(backend.next_result(BOUND).await.unwrap().id, TaskId::from(2));
    assert_eq!(backend.next_result(BOUND).await.unwrap().id, TaskId::from(1));
    assert!(backend.next_result(Duration::from_millis(10)).await.is_err(), "a duplicate is not returned");
}

#[tokio::test]
async fn sends_events_for_claim_and_result() {
    let backend = MockBackend::start(Settings::default()).await.unwrap();
    let mut events = backend.events();
    backend.submit(NewTask::new("u", "b").id(TaskId::from(1)));
    claim(&backend).await;
    post(&backend, RESULT, result(1).to_string()).await;
    assert!(matches!(events.try_recv(), Ok(Event::Claimed { .. })));
    let line = events.try_recv().unwrap().to_string();
    assert_eq!(line, "answered 1 SUCCESS in 120 ms, 1 of 1 cases passed");
}

#[tokio::test]
async fn keeps_only_last_requests() {
    let settings = Settings { kept_requests: 2, ..Settings::default() };
    let backend = MockBackend::start(settings).await.unwrap();
    for path in ["/a", "/b", "/c"] {
        get(&backend, path).await;
    }
    let kept: Vec<_> = backend.requests().into_iter().map(|request| (request.number, request.path)).collect();
    assert_eq!(kept, [(1, "/b".to_owned()), (2, "/c".to_owned())]);
}

#[test]
fn handle_outlives_its_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let backend = runtime.block_on(MockBackend::start(Settings::default())).unwrap();
    // Outside of the runtime: submitting and reading records need none.
    backend.submit(NewTask::new("u", "b"));
    assert_eq!(backend.attempts().len(), 1);
    drop(runtime);
    drop(backend);
}
