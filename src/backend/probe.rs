//! A look at the backend that takes no task: a login, and the methods of the route for results.
//!
//! Never the route for tasks, by whatever method: who answers GET there may well answer HEAD by the same code, and a
//! backend that maps every method would hand out a task for OPTIONS. A question without a body to the route for results
//! can do no harm.

use std::time::SystemTime;

use reqwest::Method;

use super::http::{Http, Reply};
use super::wire::{self, Tokens};
use super::{Error, Settings};
use crate::live::Live;
use crate::observe::Observe;

/// What a look has shown.
#[derive(Debug)]
pub struct Probe {
    /// The backend's clock and the runner's at the same moment, where the backend names its own.
    pub clocks: Option<(SystemTime, SystemTime)>,
    /// With `--auth`: what the login came to; the roles that the token names, where it names any.
    pub login: Option<Result<Option<Vec<String>>, Error>>,
    /// What the route for results answers to a question without a body; it may be anything but 401 and 403.
    pub status: u16,
    /// Whether what answers there is something else than a backend, as far as the route for results can tell.
    pub is_another: bool,
}

/// Looks; an error: it cannot be reached.
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
        // One that does not know this method may know the route all the same.
        405 | 501 => {
            let read = http.send(Method::GET, &settings.post_api, token.as_ref(), None, None).await?;
            read.status == 404 || is_page(&read)
        }
        _ => is_page(&reply),
    };
    let clocks = reply.date.map(|theirs| (theirs, SystemTime::now()));
    Ok(Probe { clocks, login, status: reply.status, is_another })
}

/// A page for people, with success: no route of a backend's.
fn is_page(reply: &Reply) -> bool {
    let begins = reply.body.iter().position(|byte| !byte.is_ascii_whitespace());
    reply.is_success() && begins.is_some_and(|at| reply.body[at] == b'<')
}

async fn log_in(http: &Http, settings: &Settings) -> Result<Tokens, Error> {
    let body = wire::login_body(&settings.login, &settings.password);
    let route = &settings.login_api;
    let reply = http.send(Method::POST, route, None, Some(body), None).await?;
    if !reply.is_success() {
        return Err(http.refusal(&reply, route));
    }
    let unreadable = |reason: &str| Error::Unreadable { route: route.clone(), reason: reason.to_owned() };
    wire::tokens(&reply.body).map_err(unreadable)
}
