//! The four routes of the contract: claim, result, login, refresh.
//! Each takes a whole request and gives a whole answer; faults and the record are the server's business.

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Denied, Tokens};
use crate::event::Event;
use crate::fault::Endpoint;
use crate::shared::Shared;
use crate::store::{Refusal, Violation};
use crate::task::TaskId;
use crate::verdict::{Reading, Refused};

/// A JSON text with this status.
pub(crate) fn json_text(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::from(text.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/json"));
    answer
}

/// An error in the form that the deployed backend gives it.
pub(crate) fn error(status: u16, why: &str) -> Response<Body> {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    json_text(status, json!({"status": status, "error": reason, "message": why}).to_string())
}

/// The true answer to a request.
pub(crate) fn answer(
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
    let answer = json_text(200, attempt.claim.clone());
    shared.tell(Event::Claimed { id: attempt.id.clone() });
    answer
}

fn result(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Response<Body> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        violation(shared, None, format!("the Content-Type of a result is `{kind}`"), body);
    }
    match store_result(shared, body) {
        Ok(id) => json_text(200, format!(r#"{{"id":{}}}"#, id.as_json())),
        Err((id, Refused { status, why })) => {
            violation(shared, id.clone(), format!("refused with {status}: {why}"), body);
            let at = std::time::Instant::now();
            shared.store().refusals.push(Refusal { id, status, why: why.clone(), body: body.clone(), at });
            shared.tell(Event::Refused { status, why: why.clone() });
            error(status, &why)
        }
    }
}

/// Stores a result in the order of the deployed backend: size, form, id, storage.
fn store_result(shared: &Shared, body: &Bytes) -> Result<TaskId, (Option<TaskId>, Refused)> {
    if let Some(most) = shared.settings.limits.body.filter(|most| body.len() > *most) {
        let why = format!("the body has {} bytes; {most} is the most", body.len());
        return Err((None, Refused { status: 413, why }));
    }
    let reading = Reading::of(body).map_err(|refused| (None, refused))?;
    let id = reading.id.clone();
    let mut store = shared.store();
    let Some((index, exact)) = store.find(&id) else {
        let why = format!("no attempt has the id {}", id.as_json());
        return Err((Some(id), Refused { status: 400, why }));
    };
    reading.check_storage(&shared.settings.limits).map_err(|refused| (Some(id.clone()), refused))?;

    let mut found = reading.violations.clone();
    if !exact {
        found.push(format!("the id came back in another form: {}", id.as_json()));
    }
    if store.attempts[index].claimed.is_none() {
        found.push("a result for an attempt that was never claimed".to_owned());
    }
    let told = Event::answered(store.accept(index, reading, body.clone()));
    drop(store);
    for what in found {
        violation(shared, Some(id.clone()), what, body);
    }
    if let Some(event) = told {
        shared.tell(event);
    }
    Ok(id)
}

fn violation(shared: &Shared, id: Option<TaskId>, what: String, body: &Bytes) {
    shared.store().violations.push(Violation { id, what, body: body.clone() });
}

fn login(shared: &Shared, body: &Bytes) -> Response<Body> {
    #[derive(Deserialize)]
    struct Login {
        username: String,
        password: String,
    }
    let Ok(Login { username, password }) = serde_json::from_slice(body) else {
        return error(400, "a login is {\"username\": …, \"password\": …}");
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
        return error(400, "a refresh is {\"refreshToken\": …}");
    };
    let issued = shared.auth().refresh(&refresh_token, shared.now_ms());
    issue(shared, issued, true)
}

fn issue(shared: &Shared, issued: Result<Tokens, Denied>, refreshed: bool) -> Response<Body> {
    match issued {
        Ok(Tokens { access, refresh }) => {
            shared.tell(Event::LoggedIn { refreshed });
            let tokens: Value = json!({"type": "Bearer", "accessToken": access, "refreshToken": refresh});
            json_text(200, tokens.to_string())
        }
        Err(denied) => deny(shared, denied),
    }
}

fn deny(shared: &Shared, denied: Denied) -> Response<Body> {
    let why = denied.to_string();
    shared.tell(Event::Refused { status: denied.status(), why: why.clone() });
    error(denied.status(), &why)
}
