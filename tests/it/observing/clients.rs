//! Tests of the listener: slow and hostile clients, a port that is in use.

use std::time::{Duration, Instant};

use mock_backend::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::http::{LISTEN, address, exchange, exchange_lossy, get, value};
use crate::support::{PASS, World, command};

#[tokio::test]
async fn slow_and_hostile_clients_do_not_block() {
    let world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await;
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /status HTTP/1.1\r\nx-slow: ").await.ok();
        }
        slow.push(stream);
    }
    let started = Instant::now();
    assert_eq!(get(address, "/healthz").await.0, 200);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let open = value(&get(address, "/metrics").await.1, "process_open_fds");
    assert!(open < 100.0, "{open} descriptors");
    let many = "x: y\r\n".repeat(10_000);
    let (status, ..) = exchange_lossy(address, &format!("GET /status HTTP/1.1\r\n{many}\r\n")).await;
    assert!(matches!(status, 0 | 400 | 431), "{status}");
    for (head, wanted) in [
        ("POST /status HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 405),
        ("DELETE / HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        ("GET /nothing/../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("\r\n\r\nnonsense\r\n\r\n", 400),
    ] {
        assert_eq!(exchange(address, head).await.0, wanted, "{head}");
    }
    let (status, head, body) = exchange(address, "HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(status == 200 && body.is_empty() && head.contains("content-length: "), "{head}\n{body}");
    // The listener closes the remaining slow connections.
    let last = slow.last_mut().unwrap();
    let closed = timeout(Duration::from_secs(20), last.read(&mut [0; 16])).await;
    assert!(closed.is_ok(), "a silent connection stays open");
}

#[tokio::test]
async fn port_in_use_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path()).args(["--mock", "--listen", &address]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("--listen {address}: ")), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let output = command(home.path()).args(["--listen", "9180"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"));
}
