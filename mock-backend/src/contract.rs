//! The four endpoints of the contract: claim, result, login, refresh.
//! Each takes a complete request and returns a complete response; `server` injects faults and records requests.

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Denied, Tokens};
use crate::event::Event;
use crate::fault::Endpoint;
use crate::records::{Refusal, Violation};
use crate::shared::Shared;
use crate::submission::{Rejection, Submission};
use crate::task::TaskId;

/// A response with this status and JSON body.
pub(crate) fn json_text(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
    response
}

/// An error response in the format of the deployed backend.
pub(crate) fn error(status: u16, message: &str) -> Response<Body> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    json_text(status, json!({"status": status, "error": reason, "message": message}).to_string())
}

/// Processes a request without faults and returns the response.
pub(crate) fn respond(
    shared: &Shared,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response<Body> {
    if matches!(endpoint, Endpoint::Claim | Endpoint::Result) && shared.settings.auth {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let checked = shared.auth().check(header, shared.now_ms());
        if let Err(denied) = checked {
            return deny(shared, denied);
        }
    }
    match endpoint {
        Endpoint::Result => result(shared, headers, body),
        Endpoint::Login => login(shared, body),
        Endpoint::Refresh => refresh(shared, body),
        Endpoint::Claim | Endpoint::Any => claim(shared),
    }
}

fn claim(shared: &Shared) -> Response<Body> {
    let mut store = shared.store();
    let Some(attempt) = store.claim() else {
        return json_text(200, r#"{"status":"UNAVAILABLE"}"#);
    };
    let response = json_text(200, attempt.claim.clone());
    shared.emit(Event::Claimed { id: attempt.id.clone() });
    response
}

fn result(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Response<Body> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        violation(shared, None, format!("the Content-Type of a result is `{kind}`"), body);
    }
    match store_result(shared, body) {
        Ok(id) => json_text(200, format!(r#"{{"id":{}}}"#, id.as_json())),
        Err((id, Rejection { status, reason })) => {
            violation(shared, id.clone(), format!("refused with {status}: {reason}"), body);
            let at = std::time::Instant::now();
            shared.store().refusals.push(Refusal {
                id,
                status,
                reason: reason.clone(),
                body: body.clone(),
                at,
            });
            shared.emit(Event::Refused { status, reason: reason.clone() });
            error(status, &reason)
        }
    }
}

/// Checks a result in the order of the deployed backend (size, format, id, storage) and stores it.
///
/// # Errors
/// Returns the rejection of the first failed check, with the id if it was parsed.
fn store_result(shared: &Shared, body: &Bytes) -> Result<TaskId, (Option<TaskId>, Rejection)> {
    if let Some(limit) = shared.settings.limits.body.filter(|limit| body.len() > *limit) {
        let reason = format!("the body has {} bytes; the limit is {limit}", body.len());
        return Err((None, Rejection { status: 413, reason }));
    }
    let submission = Submission::parse(body).map_err(|rejection| (None, rejection))?;
    let id = submission.id.clone();
    let mut store = shared.store();
    let Some((index, exact)) = store.find(&id) else {
        let reason = format!("no attempt has the id {}", id.as_json());
        return Err((Some(id), Rejection { status: 400, reason }));
    };
    submission.check_storage(&shared.settings.limits).map_err(|rejection| (Some(id.clone()), rejection))?;

    let mut violations = submission.violations.clone();
    if !exact {
        violations.push(format!("the id was reformatted: {}", id.as_json()));
    }
    if store.attempts[index].claimed.is_none() {
        violations.push("result for an attempt that was never claimed".to_owned());
    }
    let event = Event::answered(store.accept(index, submission, body.clone()));
    drop(store);
    for description in violations {
        violation(shared, Some(id.clone()), description, body);
    }
    if let Some(event) = event {
        shared.emit(event);
    }
    Ok(id)
}

fn violation(shared: &Shared, id: Option<TaskId>, description: String, body: &Bytes) {
    shared.store().violations.push(Violation { id, description, body: body.clone() });
}

fn login(shared: &Shared, body: &Bytes) -> Response<Body> {
    #[derive(Deserialize)]
    struct Login {
        username: String,
        password: String,
    }
    let Ok(Login { username, password }) = serde_json::from_slice(body) else {
        return error(400, "a login request must be {\"username\": …, \"password\": …}");
    };
    let issued = shared.auth().login(&username, &password, shared.now_ms());
    issue(shared, issued, false)
}

fn refresh(shared: &Shared, body: &Bytes) -> Response<Body> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refresh {
        refresh_token: String,
    }
    let Ok(Refresh { refresh_token }) = serde_json::from_slice(body) else {
        return error(400, "a refresh request must be {\"refreshToken\": …}");
    };
    let issued = shared.auth().refresh(&refresh_token, shared.now_ms());
    issue(shared, issued, true)
}

/// The response of login and refresh.
fn issue(shared: &Shared, issued: Result<Tokens, Denied>, refreshed: bool) -> Response<Body> {
    match issued {
        Ok(Tokens { access, refresh }) => {
            shared.emit(Event::LoggedIn { refreshed });
            let tokens: Value = json!({"type": "Bearer", "accessToken": access, "refreshToken": refresh});
            json_text(200, tokens.to_string())
        }
        Err(denied) => deny(shared, denied),
    }
}

fn deny(shared: &Shared, denied: Denied) -> Response<Body> {
    let reason = denied.to_string();
    shared.emit(Event::Refused { status: denied.status(), reason: reason.clone() });
    error(denied.status(), &reason)
}
