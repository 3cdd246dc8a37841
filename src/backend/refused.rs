//! What is shown and said of a backend that does not take the runner's requests: 401 and 403.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Backend;

/// What has been said already: once is loud enough.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// That a login is missing or not enough.
    forbidden: AtomicBool,
    /// That the tokens of a login that was accepted are not. Apart, for one such answer may be a moment's.
    token: AtomicBool,
}

impl Backend {
    /// Shows whether `path` was allowed, and says it once, loudly, where it was not.
    pub(super) fn note_credentials(&self, status: u16, path: &str) {
        let user = &self.settings.login;
        let trouble = match (status, self.tokens.is_some()) {
            (200..=299, _) => return self.observe.credentials(Ok(())),
            (401, false) => format!("{path} answers 401: it wants a login"),
            (401, true) => format!(
                "{path} answers 401 to the token of a login that was accepted: look at the clocks of both, and at what signs its tokens"
            ),
            (403, false) => format!("{path} answers 403 and nobody is logged in: give --auth"),
            (403, true) => format!("{path} answers 403: {user} needs the role ADMIN"),
            _ => return,
        };
        self.observe.credentials(Err(trouble));
        self.say_refusal(status, path);
    }

    fn say_refusal(&self, status: u16, route: &str) {
        let is_first = |said: &AtomicBool| !said.swap(true, Ordering::Relaxed);
        let user = &self.settings.login;
        match (status, self.tokens.is_some()) {
            (401, true) if is_first(&self.said.token) => tracing::error!(
                name: "token_refused",
                target: "critical",
                user,
                route,
                "the backend accepts the login and refuses its token (401): look at the clocks of both, and at what signs its tokens"
            ),
            (401, false) if is_first(&self.said.forbidden) => {
                tracing::error!(name: "login_required", target: "critical", route, "the backend wants a login (401): start the runner with --auth");
            }
            (403, false) if is_first(&self.said.forbidden) => tracing::error!(
                name: "route_forbidden",
                target: "critical",
                route,
                "the backend forbids this route (403) and nobody is logged in: start the runner with --auth"
            ),
            (403, true) if is_first(&self.said.forbidden) => tracing::error!(
                name: "user_forbidden",
                target: "critical",
                user,
                route,
                "the backend forbids this user this route (403): give the user the role ADMIN, or another --login"
            ),
            _ => {}
        }
    }
}
