//! The admin API under `/mock/`, for people and for tests in other languages, and the page at `/`.
//! It has no authentication; the backend listens on 127.0.0.1 by default.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::contract::{error, json_text};
use crate::fault::Fault;
use crate::records::{Attempt, RequestRecord, StoredResult};
use crate::settings::User;
use crate::shared::Shared;
use crate::summary;
use crate::task::{TaskId, read_tasks};

/// Description of the admin API for the page at `/`.
const HELP: &str = "\
The admin API:
  POST   /mock/tasks         submits tasks in the form of a claim: one, an array, or one per line; `id` is optional
  POST   /mock/raw           submits the raw body of the response to one claim
  GET    /mock/attempts      the submitted tasks with their status
  GET    /mock/results       the accepted results
  GET    /mock/refusals      the refused results with the reasons
  GET    /mock/violations    the violations of the contract
  GET    /mock/requests      the requests with headers and bodies
  GET    /mock/faults        the faults that are set
  POST   /mock/faults        sets faults, one per line: ENDPOINT:KIND[:COUNT[@SKIP]]
  DELETE /mock/faults        removes all faults
  POST   /mock/users         adds a user: NAME:PASSWORD[:ROLE]
  POST   /mock/expire-tokens invalidates all access tokens
  POST   /mock/forget-refresh-tokens   invalidates all refresh tokens, as a restart does
  POST   /mock/clock         sets the offset of the backend's clock in milliseconds
";

type Api = State<Arc<Shared>>;
type Reply = Response<Body>;

/// The routes of the admin API.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|State(shared): Api| async move { summary::page(&shared, HELP) }))
        .route("/mock/tasks", post(submit))
        .route("/mock/raw", post(submit_raw))
        .route("/mock/attempts", get(attempts))
        .route("/mock/results", get(results))
        .route("/mock/refusals", get(refusals))
        .route("/mock/violations", get(violations))
        .route("/mock/requests", get(requests))
        .route("/mock/faults", get(faults).post(set_faults).delete(clear_faults))
        .route("/mock/users", post(add_user))
        .route("/mock/expire-tokens", post(expire_tokens))
        .route("/mock/forget-refresh-tokens", post(forget_refresh_tokens))
        .route("/mock/clock", post(set_clock))
        .fallback(async || error(404, "no such page; GET / lists the admin API"))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn submit(State(shared): Api, text: String) -> Reply {
    match read_tasks(&text) {
        Ok(tasks) => {
            let ids = tasks.iter().map(|task| raw(Some(&shared.submit(task)))).collect::<Vec<_>>();
            json_text(201, json!({"ids": ids}).to_string())
        }
        Err(cause) => error(400, &cause.to_string()),
    }
}

async fn submit_raw(State(shared): Api, claim: Bytes) -> Reply {
    let id = shared.submit_raw(claim);
    json_text(201, json!({"id": raw(id.as_ref())}).to_string())
}

async fn attempts(State(shared): Api) -> Reply {
    let view = |attempt: &Attempt| {
        json!({
            "id": raw(attempt.id.as_ref()),
            "status": attempt.status.as_str(),
            "ageMs": ms(attempt.created),
            "claimedMsAgo": attempt.claimed.map(ms),
            "results": attempt.result.as_ref().map_or(0, |stored| stored.deliveries),
            "claim": String::from_utf8_lossy(&attempt.claim),
        })
    };
    list(shared.store().attempts.iter().map(view))
}

async fn results(State(shared): Api) -> Reply {
    let view = |stored: &StoredResult| {
        json!({
            "id": raw(Some(&stored.id)),
            "times": stored.deliveries,
            "versions": stored.versions.len(),
            "receivedMsAgo": ms(stored.received),
            "result": stored.result,
        })
    };
    list(shared.store().results().flatten().map(view))
}

async fn refusals(State(shared): Api) -> Reply {
    list(shared.store().refusals.iter().map(|refusal| {
        let body = String::from_utf8_lossy(&refusal.body);
        json!({"id": raw(refusal.id.as_ref()), "status": refusal.status, "why": refusal.reason, "body": body})
    }))
}

async fn violations(State(shared): Api) -> Reply {
    list(
        shared
            .store()
            .violations
            .iter()
            .map(|violation| json!({"id": raw(violation.id.as_ref()), "what": violation.description})),
    )
}

async fn requests(State(shared): Api) -> Reply {
    let view = |request: &RequestRecord| {
        json!({
            "number": request.number,
            "msAgo": ms(request.at),
            "method": request.method,
            "path": request.path,
            "headers": request.headers,
            "body": String::from_utf8_lossy(&request.body),
            "status": request.status,
            "fault": request.fault,
        })
    };
    list(shared.store().requests.iter().map(view))
}

async fn faults(State(shared): Api) -> Reply {
    list(shared.faults().0.iter().map(|fault| fault.to_string().into()))
}

async fn set_faults(State(shared): Api, text: String) -> Reply {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.map(str::parse).collect::<Result<Vec<Fault>, _>>() {
        Ok(new) => {
            shared.faults().0.extend(new);
            no_content()
        }
        Err(cause) => error(400, &cause.to_string()),
    }
}

async fn clear_faults(State(shared): Api) -> Reply {
    shared.faults().0.clear();
    no_content()
}

async fn add_user(State(shared): Api, text: String) -> Reply {
    match text.trim().parse::<User>() {
        Ok(user) => {
            shared.auth().add_user(user);
            no_content()
        }
        Err(message) => error(400, &message),
    }
}

async fn expire_tokens(State(shared): Api) -> Reply {
    shared.auth().expire_access_tokens();
    no_content()
}

async fn forget_refresh_tokens(State(shared): Api) -> Reply {
    shared.auth().forget_refresh_tokens();
    no_content()
}

async fn set_clock(State(shared): Api, text: String) -> Reply {
    match text.trim().parse() {
        Ok(offset) => {
            shared.set_clock_offset_ms(offset);
            no_content()
        }
        Err(_) => error(400, "the body must be a number of milliseconds, for example -3600000"),
    }
}

fn no_content() -> Reply {
    StatusCode::NO_CONTENT.into_response()
}

fn list(items: impl Iterator<Item = Value>) -> Reply {
    json_text(200, Value::from(items.collect::<Vec<_>>()).to_string())
}

/// Milliseconds since a moment.
fn ms(since: std::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An id as a JSON value. An id that is not JSON, or that a `Value` cannot represent exactly, becomes a string.
fn raw(id: Option<&TaskId>) -> Value {
    let Some(id) = id else { return Value::Null };
    let text = id.as_json();
    let same = |value: &Value| serde_json::to_string(value).is_ok_and(|written| written == text);
    serde_json::from_str(text).ok().filter(same).unwrap_or_else(|| text.into())
}
