//! The backend as the runner sees it: claim a task, post a result.
//!
//! The bodies are in [`wire`], the tokens have a keeper of their own (`tokens`). A request is made once, and once
//! more with a new token after a 401; everything else is the caller's to retry.

mod http;
mod probe;
mod refused;
mod secrets;
mod tokens;
pub mod wire;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::live::Live;
use crate::observe::Observe;
use http::{Http, Reply};
pub use probe::{Probe, probe};
use text::units::interval;
use tokens::Keeper;
pub use wire::Claim;

/// Where the backend is and how to log in.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Backend")]
#[group(skip)]
pub struct Settings {
    /// URL of the backend
    #[arg(long, global = true, env = "RUNNER_BACKEND_URL", value_name = "URL", default_value = "http://localhost:5000", value_parser = backend_url)]
    pub backend_url: Url,

    /// Path that hands out tasks
    #[arg(long, global = true, env = "RUNNER_GET_API", value_name = "PATH", default_value = "/api/task/available", value_parser = api_path)]
    pub get_api: String,

    /// Path that takes results
    #[arg(long, global = true, env = "RUNNER_POST_API", value_name = "PATH", default_value = "/api/task/result", value_parser = api_path)]
    pub post_api: String,

    /// Path to log in
    #[arg(long, global = true, env = "RUNNER_LOGIN_API", value_name = "PATH", default_value = "/api/v1/login", value_parser = api_path)]
    pub login_api: String,

    /// Path to refresh the token
    #[arg(long, global = true, env = "RUNNER_TOKEN_REFRESH_API", value_name = "PATH", default_value = "/api/v1/auth/refresh", value_parser = api_path)]
    pub token_refresh_api: String,

    /// Time between token refreshes; sooner if the token expires sooner
    #[arg(long, global = true, env = "RUNNER_REFRESH_TIME", value_name = "DURATION", default_value = "60", value_parser = interval)]
    pub refresh_time: Duration,

    /// The backend wants a login
    #[arg(long, global = true, env = "RUNNER_AUTH", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_name = "true|false", value_parser = text::units::flag)]
    pub auth: bool,

    /// User name
    #[arg(long, global = true, env = "RUNNER_LOGIN", value_name = "NAME", default_value = "dora_explorer")]
    pub login: String,

    /// Password; prefer --password-file or RUNNER_PASSWORD, because `ps` shows arguments. With --auth and none of
    /// these: systemd's credential ostest-runner.password or password
    #[arg(
        long,
        global = true,
        env = "RUNNER_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD",
        default_value = "dora_explorer",
        hide_default_value = true
    )]
    pub password: SecretString,

    /// File that holds the password; precedes a password from the same place
    #[arg(long, global = true, env = "RUNNER_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Descriptor that holds the password: how the runner hands `--password` to itself
    #[arg(long, global = true, hide = true, value_name = "NUMBER")]
    pub password_fd: Option<i32>,

    /// How long connecting to the backend may take
    #[arg(long, global = true, env = "RUNNER_CONNECT_TIMEOUT", value_name = "DURATION", default_value = "5", value_parser = interval)]
    pub connect_timeout: Duration,

    /// How long a request to the backend may take as a whole
    #[arg(long, global = true, env = "RUNNER_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "30", value_parser = interval)]
    pub request_timeout: Duration,

    /// How long a claim may take; one that takes longer may be lost
    #[arg(long, global = true, env = "RUNNER_CLAIM_TIMEOUT", value_name = "DURATION", default_value = "10", value_parser = interval)]
    pub claim_timeout: Duration,
}

/// The bounds on requests that may change while the runner runs.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// On a request as a whole.
    pub request: Duration,
    /// On a claim.
    pub claim: Duration,
}

impl Settings {
    /// The bounds on requests.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts { request: self.request_timeout, claim: self.claim_timeout }
    }
}

fn backend_url(text: &str) -> Result<Url, String> {
    let taken = "expected an http:// or https:// URL, such as http://localhost:5000";
    let url = Url::parse(text).map_err(|error| format!("{error}; {taken}"))?;
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err("it holds a login, which `ps` would show; use --login and --password-file".to_owned())
        }
        _ if url.query().is_some() || url.fragment().is_some() => {
            Err(format!("it has a ? or # part; {taken}"))
        }
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(taken.to_owned()),
    }
}

fn api_path(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_whitespace) || text.contains("://") {
        return Err("expected a path below the backend's URL, such as /api/task".to_owned());
    }
    Ok(format!("/{}", text.trim_start_matches('/')))
}

/// A request that did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client could not be made.
    #[error("cannot set up HTTP: {0}")]
    Client(String),
    /// No answer came, or not all of it.
    #[error("{route}: {reason}")]
    Unreachable {
        /// Path of the request.
        route: String,
        /// What happened.
        reason: String,
        /// Whether the request may have reached the backend.
        sent: bool,
        /// What had arrived of the body of an answer of success.
        received: Vec<u8>,
    },
    /// An answer came that cannot be read.
    #[error("{route}: {reason}")]
    Unreadable {
        /// Path of the request.
        route: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A 200 without a body: some backends confirm results so, a broken one in between does too.
    #[error("{route}: the backend answered 200 with an empty body")]
    EmptyReceipt {
        /// Path of the request.
        route: String,
    },
    /// The backend answered with a status that is none of success.
    #[error("{route}: the backend answered {status}{body}")]
    Status {
        /// Path of the request.
        route: String,
        /// HTTP status.
        status: u16,
        /// The beginning of its body, or where it redirects to.
        body: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// There is no token to send the request with.
    #[error("no token: {0}")]
    NoToken(String),
}

/// The client of one backend.
#[derive(Debug)]
pub struct Backend {
    http: std::sync::Arc<Http>,
    tokens: Option<Keeper>,
    settings: Settings,
    timeouts: Live<Timeouts>,
    observe: Observe,
    said: refused::Said,
    receipts_are_empty: AtomicBool,
}

impl Backend {
    /// Sets up the client and, with `--auth`, the keeper of its tokens, which logs in at once.
    /// `timeouts` go before those of `settings`; what becomes of each exchange is told to `observe`.
    pub fn new(settings: Settings, timeouts: Live<Timeouts>, observe: Observe) -> Result<Self, Error> {
        let http = std::sync::Arc::new(Http::new(&settings, timeouts.clone(), observe.clone())?);
        let tokens = settings.auth.then(|| Keeper::start(http.clone(), settings.clone(), observe.clone()));
        Ok(Self {
            http,
            tokens,
            settings,
            timeouts,
            observe,
            said: refused::Said::default(),
            receipts_are_empty: AtomicBool::new(false),
        })
    }

    /// The longest that [`Self::claim`] takes: two requests, and the wait for a token before each.
    pub fn patience(&self) -> Duration {
        let Timeouts { request, claim } = self.timeouts.get();
        claim.saturating_add(request).saturating_mul(2)
    }

    /// Asks for a task. From the first byte of an answer with one it exists nowhere but here: once the question is
    /// out it is waited for, whatever happens. `give_up` only ends the wait for a token. The body comes along as it came.
    pub async fn claim(&self, give_up: &CancellationToken) -> Result<(Claim, Vec<u8>), Error> {
        let timeout = Some(self.timeouts.get().claim);
        let reply = match self.send(Method::GET, &self.settings.get_api, None, timeout, give_up).await {
            // What arrived of it may name the task.
            Err(Error::Unreachable { received, .. }) if !received.is_empty() => Reply::cut(received),
            other => other?,
        };
        // 404 is an answer of its own here, not an error.
        if !reply.is_success() && reply.status != 404 {
            return Err(self.http.refusal(&reply, &self.settings.get_api));
        }
        let claim = wire::claim(reply.status, &reply.body);
        if let Claim::Unanswerable { reason } = &claim {
            let body = self.http.hide(&reply.body);
            // As a string, which the log escapes: it is anybody's, with line breaks and terminal escapes.
            tracing::error!(name: "claim_malformed", reason, body, "the backend's answer is no task that could be answered");
        }
        Ok((claim, reply.body))
    }

    /// Posts the body of a result. Anything but a success that can be read is an error.
    pub async fn post(&self, body: &[u8]) -> Result<(), Error> {
        let route = &self.settings.post_api;
        let reply = self.send(Method::POST, route, Some(body), None, &CancellationToken::new()).await?;
        if !reply.is_success() {
            return Err(self.http.refusal(&reply, route));
        }
        if reply.status != 200 {
            return Ok(());
        }
        if reply.body.is_empty() {
            let known = self.receipts_are_empty.load(Ordering::Relaxed);
            return if known { Ok(()) } else { Err(Error::EmptyReceipt { route: route.clone() }) };
        }
        self.receipts_are_empty.store(false, Ordering::Relaxed);
        if !wire::is_receipt(&reply.body) {
            let said = self.http.excerpt(&reply.body);
            let reason = format!("the backend answered 200 with what is no receipt: {said}");
            return Err(Error::Unreadable { route: route.clone(), reason });
        }
        Ok(())
    }

    /// From now on an empty 200 is a receipt: this backend answers so every time.
    pub fn take_empty_receipts(&self) {
        if !self.receipts_are_empty.swap(true, Ordering::Relaxed) {
            tracing::warn!(name: "empty_receipts_accepted", "the backend confirms results with empty answers; they are taken as receipts");
        }
    }

    /// Sends with a token where the backend wants one, and once more with a new one after a 401.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        timeout: Option<Duration>,
        give_up: &CancellationToken,
    ) -> Result<Reply, Error> {
        let send = |token| {
            let (method, body) = (method.clone(), body.map(<[u8]>::to_vec));
            async move { self.http.send(method, path, token, body, timeout).await }
        };
        let Some(keeper) = &self.tokens else {
            let reply = send(None).await?;
            self.note_credentials(reply.status, path);
            return Ok(reply);
        };
        let stopped = || Error::NoToken("the runner is stopping".to_owned());
        let token = give_up.run_until_cancelled(keeper.token()).await.ok_or_else(stopped)??;
        let mut reply = send(Some(&token.secret)).await?;
        if reply.status == 401 {
            let token =
                give_up.run_until_cancelled(keeper.token_after(&token)).await.ok_or_else(stopped)??;
            reply = send(Some(&token.secret)).await?;
        }
        self.note_credentials(reply.status, path);
        Ok(reply)
    }
}

/// The floor and the cap of a retry interval in the background.
const RETRY: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_urls_and_paths_while_parsing() {
        assert!(backend_url("http://localhost:5000/base").is_ok());
        for wrong in ["localhost:5000", "ftp://x", "http://", "", "http://x/?a=1"] {
            assert!(backend_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(api_path("api/task").as_deref(), Ok("/api/task"));
        assert!(api_path("http://x/api").is_err());
    }
}
