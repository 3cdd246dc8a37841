//! Reports whether the backend accepts the runner's credentials.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::observe::Observe;

/// Reports responses with 401 and 403 to [`Observe`], and logs each kind once.
#[derive(Debug)]
pub(super) struct CredentialReporter {
    observe: Observe,
    /// The user name if the runner logs in.
    user: Option<String>,
    /// A missing or insufficient login was logged.
    logged_forbidden: AtomicBool,
    /// A refused token was logged. Separate, because one such response may be temporary.
    logged_token: AtomicBool,
}

impl CredentialReporter {
    pub(super) fn new(observe: Observe, user: Option<String>) -> Self {
        Self { observe, user, logged_forbidden: AtomicBool::new(false), logged_token: AtomicBool::new(false) }
    }

    /// Reports the `status` of a response to a request to `path`.
    pub(super) fn report(&self, status: u16, path: &str) {
        let user = self.user.as_deref().unwrap_or_default();
        let trouble = match (status, self.user.is_some()) {
            (200..=299, _) => return self.observe.credentials(Ok(())),
            (401, false) => format!("{path} answers 401: it requires a login; give --auth"),
            (401, true) => format!(
                "{path} answers 401 to the token of an accepted login: check both clocks and the backend's signing key"
            ),
            (403, false) => format!("{path} answers 403 without a login: give --auth"),
            (403, true) => format!("{path} answers 403: {user} needs the role ADMIN"),
            _ => return,
        };
        self.observe.credentials(Err(trouble));
        self.log_once(status, path);
    }

    /// Logs a refusal the first time.
    fn log_once(&self, status: u16, route: &str) {
        let is_first = |logged: &AtomicBool| !logged.swap(true, Ordering::Relaxed);
        let user = self.user.as_deref().unwrap_or_default();
        match (status, self.user.is_some()) {
            (401, true) if is_first(&self.logged_token) => tracing::error!(
                name: "token_refused",
                target: "critical",
                user,
                route,
                "the backend accepts the login but refuses its token (401): check both clocks and the backend's signing key"
            ),
            (401, false) if is_first(&self.logged_forbidden) => {
                tracing::error!(name: "login_required", target: "critical", route, "the backend requires a login (401): start the runner with --auth");
            }
            (403, false) if is_first(&self.logged_forbidden) => tracing::error!(
                name: "route_forbidden",
                target: "critical",
                route,
                "the backend forbids this route without a login (403): start the runner with --auth"
            ),
            (403, true) if is_first(&self.logged_forbidden) => tracing::error!(
                name: "user_forbidden",
                target: "critical",
                user,
                route,
                "the backend forbids this route for this user (403): give the user the role ADMIN, or use another --login"
            ),
            _ => {}
        }
    }
}
