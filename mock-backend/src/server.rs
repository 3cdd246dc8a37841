//! Connections, faults and the record. Every answer passes here, and gets its `Date` by the backend's clock.
//! Served by hyper itself: a service that returns an error really closes its connection, which axum's cannot.

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
use crate::shared::Shared;
use crate::store::RequestRecord;

/// The most that is read of a request's body, so that nobody fills the memory.
const MOST_BODY_BYTES: usize = 256 * 1024 * 1024;

const PAGE: &str =
    "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome to our network</body></html>";

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped on request")]
pub(crate) struct Dropped;

/// Serves until told to stop; every connection is closed when this returns.
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
                // Out of descriptors, say: trying again at once would only spin.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = set(&mut stop) => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Waits until the flag is set, or nobody is left who could set it.
async fn set(flag: &mut watch::Receiver<bool>) {
    let _set_or_gone = flag.wait_for(|set| *set).await;
}

/// Sweeps until the backend ends.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    // A period of zero makes an interval panic.
    let mut ticks = tokio::time::interval(shared.settings.sweep.every.max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        shared.sweep();
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, router: Router) {
    let _without_it_things_are_merely_slower = stream.set_nodelay(true);
    let service = service_fn(move |request| exchange(Arc::clone(&shared), router.clone(), request));
    if let Err(cause) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%cause, "a connection ended early");
    }
}

/// One request and its answer. The work goes on in a task of its own, as in a servlet: it is not abandoned when
/// the other side hangs up, only when the backend ends.
async fn exchange(
    shared: Arc<Shared>,
    router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), MOST_BODY_BYTES).await.map_err(|_| Dropped)?;
    let mut ended = shared.ended.subscribe();
    let work = tokio::spawn(async move {
        tokio::select! {
            () = set(&mut ended) => Err(Dropped),
            answer = process(&shared, router, parts, body) => answer,
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
    let answer = if endpoint.is_none() && (path == "/" || path.starts_with("/mock/")) {
        let Ok(answer) =
            router.oneshot(Request::from_parts(parts, Body::from(body))).await.map_err(|e: Infallible| e);
        answer
    } else {
        recorded(shared, endpoint, &parts, body).await?
    };
    Ok(dated(shared, answer))
}

/// Answers a request that is not for the admin API: meets its faults and is remembered.
async fn recorded(
    shared: &Shared,
    endpoint: Option<Endpoint>,
    parts: &Parts,
    body: Bytes,
) -> Result<Response<Body>, Dropped> {
    let number =
        shared.store().record(record_of(endpoint, parts, body.clone()), shared.settings.kept_requests);
    shared.changed();
    let Some(endpoint) = endpoint else {
        let status = if is_ours(shared, parts.uri.path()) { 405 } else { 404 };
        shared.store().record_answer(number, Some(status), None);
        shared.changed();
        return Ok(contract::error(status, "no such endpoint"));
    };
    let struck = shared.faults().strike(endpoint);
    if let Some(words) = struck.words.clone() {
        let request = format!("{} {}", parts.method, parts.uri.path());
        shared.tell(Event::Fault { words, request });
    }
    if !struck.delay.is_zero() {
        sleep(struck.delay).await;
    }
    let in_place = struck.kind.as_ref().and_then(in_place_of_an_answer);
    // Nothing waits between the answer and its record: who sees a result sees its request complete.
    let answer = match (&struck.kind, in_place) {
        (Some(FaultKind::DropBefore), _) => Err(Dropped),
        (_, Some(answer)) => Ok(answer),
        (kind, None) => {
            let answer = contract::answer(shared, endpoint, &parts.headers, &body);
            if kind == &Some(FaultKind::DropAfter) { Err(Dropped) } else { Ok(answer) }
        }
    };
    let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
    shared.store().record_answer(number, status, struck.words);
    shared.changed();
    spoiled(answer?, struck.kind).await
}

fn record_of(endpoint: Option<Endpoint>, parts: &Parts, body: Bytes) -> RequestRecord {
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

fn is_ours(shared: &Shared, path: &str) -> bool {
    let paths = &shared.settings.paths;
    [&paths.claim, &paths.result, &paths.login, &paths.refresh].into_iter().any(|ours| ours == path)
}

/// The answer of a fault that stands in for the backend; `None` where the backend is to answer.
fn in_place_of_an_answer(kind: &FaultKind) -> Option<Response<Body>> {
    let mut answer = Response::new(Body::empty());
    let (header, value, body) = match kind {
        FaultKind::Status(status, headers) => {
            let mut answer = contract::error(*status, "a fault on request");
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    answer.headers_mut().insert(name, value);
                }
            }
            return Some(answer);
        }
        FaultKind::Redirect(location) => {
            *answer.status_mut() = axum::http::StatusCode::FOUND;
            (LOCATION, location.as_str(), Body::empty())
        }
        FaultKind::Garbage => {
            (CONTENT_TYPE, "application/json", Body::from(&b"\x00\xff\xfe{\"id\": 12, \"sta\x80"[..]))
        }
        FaultKind::Html200 => (CONTENT_TYPE, "text/html", Body::from(PAGE)),
        FaultKind::Empty => return Some(answer),
        FaultKind::Endless => (CONTENT_TYPE, "application/json", faulty_body::endless()),
        FaultKind::Delay(_)
        | FaultKind::Late(_)
        | FaultKind::Drip(_)
        | FaultKind::DropBefore
        | FaultKind::DropAfter
        | FaultKind::CutBody => return None,
    };
    *answer.body_mut() = body;
    answer
        .headers_mut()
        .insert(header, HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("/")));
    Some(answer)
}

/// The true answer, on its way through a fault that spoils it.
async fn spoiled(answer: Response<Body>, kind: Option<FaultKind>) -> Result<Response<Body>, Dropped> {
    if let Some(FaultKind::Late(delay)) = kind {
        sleep(delay).await;
        return Ok(answer);
    }
    if !matches!(kind, Some(FaultKind::CutBody | FaultKind::Drip(_))) {
        return Ok(answer);
    }
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.map_err(|_| Dropped)?;
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let body = match kind {
        Some(FaultKind::Drip(pause)) => faulty_body::drip(&whole, pause),
        _ => faulty_body::cut(&whole),
    };
    Ok(Response::from_parts(parts, body))
}

fn dated(shared: &Shared, mut answer: Response<Body>) -> Response<Body> {
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(shared.now())) {
        answer.headers_mut().insert(DATE, date);
    }
    answer
}
