//! Requests to the address on which a runner listens.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, Runner};

pub const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// The address on which the runner listens, from its log.
pub async fn address(runner: &Runner) -> SocketAddr {
    runner.logs("listening").await["address"].as_str().unwrap().parse().unwrap()
}

/// Sends a request head and reads the whole answer. Returns status, head in lower case, and body.
pub async fn exchange(address: SocketAddr, head: &str) -> (u16, String, String) {
    let work = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = timeout(PATIENCE, work).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// Like [`exchange`], but accepts an answer that the server cuts short.
pub async fn exchange_lossy(address: SocketAddr, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.ok();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    (status, body)
}

pub async fn page(address: SocketAddr) -> String {
    let head = "GET /status HTTP/1.1\r\nhost: x\r\naccept: text/html,application/xhtml+xml\r\n\r\n";
    let (status, head, body) = exchange(address, head).await;
    assert!(status == 200 && head.contains("content-type: text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    body
}

pub async fn status(address: SocketAddr) -> Value {
    serde_json::from_str(&get(address, "/status").await.1).unwrap()
}

/// Waits until `path` answers with status `wanted` and a body that contains `part`.
pub async fn becomes(address: SocketAddr, path: &str, wanted: u16, part: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let (status, body) = get(address, path).await;
        if status == wanted && body.contains(part) {
            return;
        }
        assert!(Instant::now() < end, "{path} is {status}, not {wanted} with {part:?}:\n{body}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The value of one series in the text of metrics.
pub fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing:\n{metrics}")).parse().unwrap()
}
