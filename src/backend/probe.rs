//! Checks a backend without claiming a task: logs in and sends a request without a body to the route for results.
//!
//! It never uses the route for tasks: a backend may handle HEAD like GET, or every method alike, and assign a task to the
//! request.

use std::time::SystemTime;

use reqwest::Method;

use super::error::Error;
use super::http::{Http, Reply};
use super::settings::Settings;
use super::wire::{self, Tokens};
use crate::live::Live;
use crate::observe::Observe;

/// Result of a probe.
#[derive(Debug)]
pub struct Probe {
    /// The backend's and the runner's time at the same moment; `None` if the response has no `Date`.
    pub clocks: Option<(SystemTime, SystemTime)>,
    /// With `--auth`: the result of the login, with the roles in the token if there are any.
    pub login: Option<Result<Option<Vec<String>>, Error>>,
    /// Status of a request without a body to the route for results. Only 401 and 403 are failures.
    pub status: u16,
    /// Whether the route for results shows that the server is not a backend.
    pub is_another: bool,
}

/// Checks the backend of `settings`.
///
/// # Errors
///
/// The backend cannot be reached. A refused login is a part of [`Probe`].
pub async fn probe(settings: &Settings) -> Result<Probe, Error> {
    let http = Http::new(settings, Live::new(settings.timeouts()), Observe::default())?;
    let mut login = None;
    let mut token = None;
    if settings.auth {
        match log_in(&http, settings).await {
            Err(error @ Error::Unreachable { .. }) => return Err(error),
            Err(error) => login = Some(Err(error)),
            Ok(tokens) => {
                login = Some(Ok(wire::roles(&tokens.access)));
                http.secrets.learn(&tokens);
                token = Some(tokens.access);
            }
        }
    }
    let reply = http.send(Method::OPTIONS, &settings.post_api, token.as_ref(), None, None).await?;
    let is_another = match reply.status {
        // The route may exist without support for this method.
        405 | 501 => {
            let read = http.send(Method::GET, &settings.post_api, token.as_ref(), None, None).await?;
            read.status == 404 || is_page(&read)
        }
        _ => is_page(&reply),
    };
    let clocks = reply.date.map(|theirs| (theirs, SystemTime::now()));
    Ok(Probe { clocks, login, status: reply.status, is_another })
}

/// Whether a response is a successful HTML page, which no route of a backend returns.
fn is_page(reply: &Reply) -> bool {
    let begins = reply.body.iter().position(|byte| !byte.is_ascii_whitespace());
    reply.is_success() && begins.is_some_and(|at| reply.body[at] == b'<')
}

/// Logs in once.
async fn log_in(http: &Http, settings: &Settings) -> Result<Tokens, Error> {
    let body = wire::login_body(&settings.login, &settings.password);
    let route = &settings.login_api;
    let reply = http.send(Method::POST, route, None, Some(body), None).await?;
    if !reply.is_success() {
        return Err(http.status_error(&reply, route));
    }
    let unreadable = |reason: &str| Error::Unreadable { route: route.clone(), reason: reason.to_owned() };
    wire::tokens(&reply.body).map_err(unreadable)
}
