//! Routes a request and makes its answer.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::source::Source;
use super::{health, metrics, page, status};

const PLAIN: &str = "text/plain; charset=utf-8";

/// The paths, for a request of `/`.
const INDEX: &str = "/status\n/metrics\n/healthz\n/readyz\n";

/// Headers of every answer: no caching, no framing, no guessing of types, and pages that run nothing.
const HEADERS: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
];

/// Answers one request.
pub(super) async fn answer(source: &Source, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/" | "/status" if wants_html(request) => {
            with(StatusCode::OK, "text/html; charset=utf-8", page::page(&status::status(source).await))
        }
        "/" => plain(StatusCode::OK, INDEX.to_owned()),
        "/metrics" => with(StatusCode::OK, metrics::CONTENT_TYPE, metrics::metrics(source).await),
        "/healthz" => verdict(&health::alive(&source.observe)),
        "/readyz" => verdict(&health::ready(source)),
        "/status" => {
            let status = status::status(source).await;
            with(StatusCode::OK, "application/json", format!("{status:#}\n"))
        }
        _ => plain(StatusCode::NOT_FOUND, "the paths are: /status /metrics /healthz /readyz\n".to_owned()),
    }
}

/// Whether the client asks for HTML, as browsers do. Tools ask for JSON or for anything.
fn wants_html(request: &Request<Incoming>) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or("");
    accepts.split(',').any(|kind| kind.trim().starts_with("text/html"))
}

/// 200 where all checks hold, else 503, with a line per check.
fn verdict(checks: &[health::Check]) -> Response<Full<Bytes>> {
    let status = if health::holds(checks) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let lines = checks.iter().map(|check| {
        let word = if check.ok { "ok" } else { "failing" };
        format!("{word} {}: {}\n", check.name, text::one_line(&check.says))
    });
    plain(status, lines.collect())
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    with(status, PLAIN, body)
}

fn with(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    for (name, value) in HEADERS.into_iter().chain([("content-type", kind)]) {
        answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}
