//! A small HTTP/1.1 client: one request per connection, with a timeout, without retries.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mock_backend::MockBackend;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Timeout of every wait in these tests.
pub(crate) const BOUND: Duration = Duration::from_secs(10);

pub(crate) const CLAIM: &str = "/api/task/available";
pub(crate) const RESULT: &str = "/api/task/result";
pub(crate) const LOGIN: &str = "/api/v1/login";
pub(crate) const REFRESH: &str = "/api/v1/auth/refresh";

/// A response with its raw head and body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Sends one request on its own connection. Fails if the connection closes before the head of the response is complete.
pub(crate) async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let work = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&request(method, path, headers, body)).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        parse(&bytes)
    };
    timeout(BOUND, work).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: mock\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [text.as_bytes(), body].concat()
}

pub(crate) fn parse(bytes: &[u8]) -> io::Result<Response> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status =
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    Ok(Response { status, head, body: bytes[end + 4..].to_vec() })
}

pub(crate) async fn get(backend: &MockBackend, path: &str) -> Response {
    exchange(backend.address(), "GET", path, &[], b"").await.unwrap()
}

pub(crate) async fn post(backend: &MockBackend, path: &str, body: impl AsRef<[u8]>) -> Response {
    let headers = [("Content-Type", "application/json")];
    exchange(backend.address(), "POST", path, &headers, body.as_ref()).await.unwrap()
}

/// Sends a claim without a token.
pub(crate) async fn claim(backend: &MockBackend) -> Value {
    get(backend, CLAIM).await.json()
}

/// A result without contract violations.
pub(crate) fn result(id: impl Into<Value>) -> Value {
    json!({
        "id": id.into(), "isPassed": true, "duration": 120, "isError": false, "errorDetails": "",
        "testResults": [
            {"name": "test_proxy::test_a", "isPassed": true, "description": "", "memoryUsed": 3, "duration": 40},
        ],
    })
}
