//! Serves connections, injects faults, records requests, and sets the `Date` header from the backend's clock.
//! Uses hyper directly because a hyper service that returns an error closes its connection; an axum service cannot do that.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::ServiceExt as _;

use crate::contract;
use crate::event::Event;
use crate::fault::{Endpoint, FaultKind};
use crate::faulty_body;
use crate::records::RequestRecord;
use crate::shared::Shared;

/// Limit of a request's body in bytes; a longer one closes the connection. Bounds the memory.
const MAX_BODY_BYTES: usize = 256 * 1024 * 1024;

/// The page of a captive portal, as a proxy returns it instead of the backend's response.
const PORTAL_PAGE: &str =
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome to our network</body></html>";

/// Signals hyper to close the connection without a response.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped by a fault or by the shutdown")]
pub(crate) struct Dropped;

/// Serves connections until `stop` is set. Every connection is closed when this returns.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&shared), router.clone()));
                }
                // For example, out of file descriptors: an immediate retry would spin.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = wait_until_set(&mut stop) => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Waits until the flag is set or its sender is dropped.
async fn wait_until_set(flag: &mut watch::Receiver<bool>) {
    let _set_or_dropped = flag.wait_for(|set| *set).await;
}

/// Runs the sweep periodically. Never returns; the handle aborts it.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    // `interval` panics on a period of zero.
    let mut ticks = tokio::time::interval(shared.settings.sweep.interval.max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        shared.sweep();
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, router: Router) {
    let _only_affects_latency = stream.set_nodelay(true);
    let service = service_fn(move |request| exchange(Arc::clone(&shared), router.clone(), request));
    if let Err(cause) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%cause, "connection closed with an error");
    }
}

/// Processes one request in a task of its own, as a servlet does: a client that disconnects does not cancel it, only the
/// end of the backend does.
async fn exchange(
    shared: Arc<Shared>,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), MAX_BODY_BYTES).await.map_err(|_| Dropped)?;
    let mut stopped = shared.stopped.subscribe();
    let work = tokio::spawn(async move {
        tokio::select! {
            () = wait_until_set(&mut stopped) => Err(Dropped),
            response = process(&shared, router, parts, body) => response,
        }
    });
    work.await.unwrap_or(Err(Dropped))
}

async fn process(
    shared: &Shared,
    router: Router,
    parts: Parts,
    body: Bytes,
) -> Result<Response<Body>, Dropped> {
    let path = parts.uri.path();
    let endpoint = Endpoint::of(&parts.method, path, &shared.settings.paths);
    let response = if endpoint.is_none() && (path == "/" || path.starts_with("/mock/")) {
        let Ok(response) =
            router.oneshot(Request::from_parts(parts, Body::from(body))).await.map_err(|e: Infallible| e);
        response
    } else {
        process_recorded(shared, endpoint, &parts, body).await?
    };
    Ok(with_date(shared, response))
}

/// Processes a request that is not for the admin API: records it and injects faults.
async fn process_recorded(
    shared: &Shared,
    endpoint: Option<Endpoint>,
    parts: &Parts,
    body: Bytes,
) -> Result<Response<Body>, Dropped> {
    let number =
        shared.store().record(new_record(endpoint, parts, body.clone()), shared.settings.kept_requests);
    shared.notify_waiters();
    let Some(endpoint) = endpoint else {
        let status = if is_endpoint_path(shared, parts.uri.path()) { 405 } else { 404 };
        shared.store().record_response(number, Some(status), None);
        shared.notify_waiters();
        return Ok(contract::error(status, "no such endpoint"));
    };
    let injection = shared.faults().next(endpoint);
    if let Some(description) = injection.description.clone() {
        let request = format!("{} {}", parts.method, parts.uri.path());
        shared.emit(Event::Fault { description, request });
    }
    if !injection.delay.is_zero() {
        sleep(injection.delay).await;
    }
    let replacement = injection.kind.as_ref().and_then(replacement_response);
    // No await between the response and its record: a caller that sees the result also sees the completed request.
    let response = match (&injection.kind, replacement) {
        (Some(FaultKind::DropBefore), _) => Err(Dropped),
        (_, Some(response)) => Ok(response),
        (kind, None) => {
            let response = contract::respond(shared, endpoint, &parts.headers, &body);
            if kind == &Some(FaultKind::DropAfter) { Err(Dropped) } else { Ok(response) }
        }
    };
    let status = response.as_ref().ok().map(|response| response.status().as_u16());
    shared.store().record_response(number, status, injection.description);
    shared.notify_waiters();
    alter_response(response?, injection.kind).await
}

fn new_record(endpoint: Option<Endpoint>, parts: &Parts, body: Bytes) -> RequestRecord {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    RequestRecord {
        number: 0,
        at: Instant::now(),
        endpoint,
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body,
        status: None,
        fault: None,
    }
}

/// Whether the contract has an endpoint at this path, for some method.
fn is_endpoint_path(shared: &Shared, path: &str) -> bool {
    let paths = &shared.settings.paths;
    [&paths.claim, &paths.result, &paths.login, &paths.refresh].into_iter().any(|known| known == path)
}

/// The response of a fault that replaces the backend; `None` if the backend processes the request.
fn replacement_response(kind: &FaultKind) -> Option<Response<Body>> {
    let mut response = Response::new(Body::empty());
    let (header, value, body) = match kind {
        FaultKind::Status(status, headers) => {
            let mut response = contract::error(*status, "injected fault");
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    response.headers_mut().insert(name, value);
                }
            }
            return Some(response);
        }
        FaultKind::Redirect(location) => {
            *response.status_mut() = axum::http::StatusCode::FOUND;
            (LOCATION, location.as_str(), Body::empty())
        }
        FaultKind::Garbage => {
            (CONTENT_TYPE, "application/json", Body::from(&b"\x00\xff\xfe{\"id\": 12, \"sta\x80"[..]))
        }
        FaultKind::Html200 => (CONTENT_TYPE, "text/html", Body::from(PORTAL_PAGE)),
        FaultKind::Empty => return Some(response),
        FaultKind::Endless => (CONTENT_TYPE, "application/json", faulty_body::endless()),
        FaultKind::Delay(_)
        | FaultKind::Late(_)
        | FaultKind::Drip(_)
        | FaultKind::DropBefore
        | FaultKind::DropAfter
        | FaultKind::CutBody => return None,
    };
    *response.body_mut() = body;
    response
        .headers_mut()
        .insert(header, HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("/")));
    Some(response)
}

/// Applies a fault that alters the backend's response: `Late`, `CutBody` or `Drip`.
async fn alter_response(
    response: Response<Body>,
    kind: Option<FaultKind>,
) -> Result<Response<Body>, Dropped> {
    if let Some(FaultKind::Late(delay)) = kind {
        sleep(delay).await;
        return Ok(response);
    }
    if !matches!(kind, Some(FaultKind::CutBody | FaultKind::Drip(_))) {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.map_err(|_| Dropped)?;
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let body = match kind {
        Some(FaultKind::Drip(pause)) => faulty_body::drip(&whole, pause),
        _ => faulty_body::cut(&whole),
    };
    Ok(Response::from_parts(parts, body))
}

fn with_date(shared: &Shared, mut response: Response<Body>) -> Response<Body> {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(shared.now())) {
        response.headers_mut().insert(DATE, date);
    }
    response
}
