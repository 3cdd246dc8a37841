//! The admin API under `/mock/`, for people and for tests in other languages, and the page at `/`.
//! It has no authentication: the backend listens on 127.0.0.1 unless told otherwise.

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
use crate::settings::User;
use crate::shared::Shared;
use crate::store::{Attempt, RequestRecord, StoredResult};
use crate::summary;
use crate::task::{TaskId, read_tasks};

/// What there is, for the page at `/`.
pub(crate) const HELP: &str = "\
The admin API:
  POST   /mock/tasks         tasks in the form of a claim: one, an array, or one a line; `id` may be left out
  POST   /mock/raw           these bytes answer one claim as they are
  GET    /mock/attempts      what was submitted, and where it stands
  GET    /mock/results       the accepted results
  GET    /mock/refusals      the results that were not accepted, and why
  GET    /mock/violations    where the other side does not hold to the contract
  GET    /mock/requests      the requests, headers and bodies included
  GET    /mock/faults        the faults that are set
  POST   /mock/faults        sets faults, one a line: ENDPOINT:KIND[:COUNT[@SKIP]]
  DELETE /mock/faults        clears them
  POST   /mock/users         adds a user: NAME:PASSWORD[:ROLE]
  POST   /mock/expire-tokens every access token is invalid from now on
  POST   /mock/forget-refresh-tokens   what a restart of the backend does
  POST   /mock/clock         by how many milliseconds the backend's clock is ahead
";

type Api = State<Arc<Shared>>;
type Answer = Response<Body>;

/// The routes of the admin API.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|State(shared): Api| async move { summary::page(&shared) }))
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
        .fallback(async || error(404, "no such page; GET / says what there is"))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn submit(State(shared): Api, text: String) -> Answer {
    match read_tasks(&text) {
        Ok(tasks) => {
            let ids = tasks.iter().map(|task| raw(Some(&shared.submit(task)))).collect::<Vec<_>>();
            json_text(201, json!({"ids": ids}).to_string())
        }
        Err(cause) => error(400, &cause.to_string()),
    }
}

async fn submit_raw(State(shared): Api, claim: Bytes) -> Answer {
    let id = shared.submit_raw(claim);
    json_text(201, json!({"id": raw(id.as_ref())}).to_string())
}

async fn attempts(State(shared): Api) -> Answer {
    let view = |attempt: &Attempt| {
        json!({
            "id": raw(attempt.id.as_ref()),
            "status": attempt.status.as_str(),
            "ageMs": ms(attempt.created),
            "claimedMsAgo": attempt.claimed.map(ms),
            "results": attempt.result.as_ref().map_or(0, |stored| stored.times),
            "claim": String::from_utf8_lossy(&attempt.claim),
        })
    };
    list(shared.store().attempts.iter().map(view))
}

async fn results(State(shared): Api) -> Answer {
    let view = |stored: &StoredResult| {
        json!({
            "id": raw(Some(&stored.id)),
            "times": stored.times,
            "versions": stored.versions.len(),
            "receivedMsAgo": ms(stored.received),
            "result": stored.result,
        })
    };
    list(shared.store().results().flatten().map(view))
}

async fn refusals(State(shared): Api) -> Answer {
    list(shared.store().refusals.iter().map(|refusal| {
        let body = String::from_utf8_lossy(&refusal.body);
        json!({"id": raw(refusal.id.as_ref()), "status": refusal.status, "why": refusal.why, "body": body})
    }))
}

async fn violations(State(shared): Api) -> Answer {
    list(
        shared
            .store()
            .violations
            .iter()
            .map(|violation| json!({"id": raw(violation.id.as_ref()), "what": violation.what})),
    )
}

async fn requests(State(shared): Api) -> Answer {
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

async fn faults(State(shared): Api) -> Answer {
    list(shared.faults().0.iter().map(|fault| fault.to_string().into()))
}

async fn set_faults(State(shared): Api, text: String) -> Answer {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.map(str::parse).collect::<Result<Vec<Fault>, _>>() {
        Ok(new) => {
            shared.faults().0.extend(new);
            done()
        }
        Err(cause) => error(400, &cause.to_string()),
    }
}

async fn clear_faults(State(shared): Api) -> Answer {
    shared.faults().0.clear();
    done()
}

async fn add_user(State(shared): Api, text: String) -> Answer {
    match text.trim().parse::<User>() {
        Ok(user) => {
            shared.auth().add_user(user);
            done()
        }
        Err(why) => error(400, &why),
    }
}

async fn expire_tokens(State(shared): Api) -> Answer {
    shared.auth().expire_access_tokens();
    done()
}

async fn forget_refresh_tokens(State(shared): Api) -> Answer {
    shared.auth().forget_refresh_tokens();
    done()
}

async fn set_clock(State(shared): Api, text: String) -> Answer {
    match text.trim().parse() {
        Ok(offset) => {
            shared.set_clock_offset_ms(offset);
            done()
        }
        Err(_) => error(400, "the body is a number of milliseconds, for example -3600000"),
    }
}

fn done() -> Answer {
    StatusCode::NO_CONTENT.into_response()
}

fn list(items: impl Iterator<Item = Value>) -> Answer {
    json_text(200, Value::from(items.collect::<Vec<_>>()).to_string())
}

fn ms(since: std::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An id as JSON; one that is no JSON, or that a `Value` cannot hold, as a string of its text.
fn raw(id: Option<&TaskId>) -> Value {
    let Some(id) = id else { return Value::Null };
    let text = id.as_json();
    let same = |value: &Value| serde_json::to_string(value).is_ok_and(|written| written == text);
    serde_json::from_str(text).ok().filter(same).unwrap_or_else(|| text.into())
}
