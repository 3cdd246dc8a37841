//! A request and its answer.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::{Source, health, page, process, status};
use crate::observe::prometheus::Text;

const PLAIN: &str = "text/plain; charset=utf-8";

/// The paths that there are, for whoever comes without one.
const INDEX: &str = "/status\n/metrics\n/healthz\n/readyz\n";

/// Headers of every answer: nothing is kept, framed or guessed, and a page runs nothing.
const HEADERS: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
];

pub(super) async fn answer(source: &Source, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match request.uri().path() {
        "/" | "/status" if wants_html(request) => html(source).await,
        "/" => plain(StatusCode::OK, INDEX.to_owned()),
        "/metrics" => with(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics(source).await),
        "/healthz" => verdict(&health::alive(&source.observe)),
        "/readyz" => verdict(&health::ready(source)),
        "/status" => {
            let status = status::status(source).await;
            with(StatusCode::OK, "application/json", format!("{status:#}\n"))
        }
        _ => plain(StatusCode::NOT_FOUND, "there is: /status /metrics /healthz /readyz\n".to_owned()),
    }
}

/// Browsers name HTML before anything else; tools name JSON, or take whatever comes.
fn wants_html(request: &Request<Incoming>) -> bool {
    let accepts = request.headers().get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or("");
    accepts.split(',').any(|kind| kind.trim().starts_with("text/html"))
}

async fn html(source: &Source) -> Response<Full<Bytes>> {
    with(StatusCode::OK, "text/html; charset=utf-8", page::page(&status::status(source).await))
}

async fn metrics(source: &Source) -> String {
    let mut text = Text::default();
    source.observe.write(&mut text);
    let disk = source.disk().await;
    text.head("spool_files", "gauge", "Files of the spool, by folder.");
    let depth = &disk.depth;
    for (folder, count) in [
        ("claimed", depth.claimed),
        ("results", depth.results),
        ("rejected", depth.rejected),
        ("aside", depth.aside),
    ] {
        text.count("spool_files", &[("folder", folder)], count as u64);
    }
    text.head("spool_oldest_seconds", "gauge", "Age of the oldest task that is not answered; 0: all are.");
    let oldest = disk.depth.oldest.unwrap_or_default();
    text.sample("spool_oldest_seconds", &[], oldest.as_secs_f64());
    if let Some(free) = disk.free {
        text.head("state_free_bytes", "gauge", "Room on the disk of the state folder.");
        text.count("state_free_bytes", &[], free);
    }
    let lights = [
        ("healthy", "Whether /healthz answers 200.", health::alive(&source.observe)),
        ("ready", "Whether /readyz answers 200.", health::ready(source)),
    ];
    for (name, help, checks) in lights {
        text.head(name, "gauge", help);
        text.count(name, &[], u64::from(health::holds(&checks)));
    }
    process::write(&mut text, source.observe.started_at());
    text.finish()
}

/// 200 where all checks hold, else 503; a line each.
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
