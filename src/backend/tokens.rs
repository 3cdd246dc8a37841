//! The token keeper: one background task owns the tokens, so that there is never more than one refresh at a time.
//!
//! It refreshes before the access token expires, and at once when a request receives a 401. After a refused refresh it logs
//! in again. A failed login is retried without end, with growing pauses.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::error::Error;
use super::http::Http;
use super::settings::Settings;
use super::wire::{self, Tokens};
use crate::observe::{LoginOutcome, Observe};

/// Minimum and maximum of the random pause between retries.
const RETRY: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(60);

/// Minimum time between two refreshes.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// An access token and its generation: the number of the login or refresh that returned it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    generation: u64,
}

/// State of the keeper for the requests.
#[derive(Debug, Clone, Default)]
struct State {
    token: Option<Token>,
    /// Why there is no token.
    error: String,
}

/// Provides tokens to requests. Dropping it ends the background task.
#[derive(Debug)]
pub(super) struct TokenKeeper {
    state: watch::Receiver<State>,
    /// Generations of tokens that received a 401.
    request_refresh: mpsc::Sender<u64>,
    http: Arc<Http>,
    task: AbortHandle,
}

impl Drop for TokenKeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TokenKeeper {
    /// Starts the background task.
    pub(super) fn start(http: Arc<Http>, settings: Settings, observe: Observe) -> Self {
        observe.login_needed();
        let (publish, state) = watch::channel(State::default());
        let (request_refresh, refresh_requests) = mpsc::channel(16);
        let work = Work { http: http.clone(), settings, publish, refresh_requests, observe, generation: 0 };
        Self { state, request_refresh, http, task: tokio::spawn(work.run()).abort_handle() }
    }

    /// Returns the current token; waits for the first one.
    pub(super) async fn token(&self) -> Result<Token, Error> {
        self.newer_than(0).await
    }

    /// Requests a refresh after a 401 for `refused`, and returns the next token.
    pub(super) async fn token_after(&self, refused: &Token) -> Result<Token, Error> {
        // If the queue is full, a refresh has been requested already.
        self.request_refresh.try_send(refused.generation).ok();
        self.newer_than(refused.generation).await
    }

    /// Waits for a token of a later generation, at most the time of a request.
    async fn newer_than(&self, generation: u64) -> Result<Token, Error> {
        let mut state = self.state.clone();
        let newer = |state: &State| state.token.as_ref().is_some_and(|token| token.generation > generation);
        match timeout(self.http.request_timeout(), state.wait_for(newer)).await {
            Ok(Ok(state)) => state.token.clone().ok_or_else(|| Error::NoToken(String::new())),
            Ok(Err(_)) => Err(Error::NoToken("the token keeper has ended".to_owned())),
            Err(_) => Err(Error::NoToken(self.state.borrow().error.clone())),
        }
    }
}

/// The background task.
struct Work {
    http: Arc<Http>,
    settings: Settings,
    publish: watch::Sender<State>,
    refresh_requests: mpsc::Receiver<u64>,
    observe: Observe,
    generation: u64,
}

impl Work {
    async fn run(mut self) {
        loop {
            let mut tokens = self.login().await;
            while let Some((current, life)) = tokens {
                self.wait_for_refresh(life).await;
                tokens = self.refresh(&current).await;
            }
        }
    }

    /// Waits until the token should be refreshed, or a request received a 401 with it.
    async fn wait_for_refresh(&mut self, life: Option<Duration>) {
        let by_life = life.map_or(Duration::MAX, |life| life * 2 / 3);
        let pause = self.settings.refresh_time.min(by_life).max(MIN_PAUSE);
        let generation = self.generation;
        let refused = async {
            while let Some(stale) = self.refresh_requests.recv().await {
                if stale == generation {
                    return;
                }
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = refused => {}
        }
    }

    /// Logs in; retries until it succeeds. Returns the tokens and the lifetime of the access token.
    async fn login(&mut self) -> Option<(Tokens, Option<Duration>)> {
        let mut pause = RETRY.start;
        loop {
            let body = wire::login_body(&self.settings.login, &self.settings.password);
            let exchanged = self.exchange(self.settings.login_api.clone(), body).await;
            self.observe.login(outcome(&exchanged));
            match exchanged {
                Ok(tokens) => {
                    self.observe.credentials(Ok(()));
                    tracing::debug!(name: "logged_in", user = self.settings.login, "logged in");
                    return Some(tokens);
                }
                Err(error) => self.report_failure(&error),
            }
            // Full jitter, so that many runners do not retry at the same moment.
            sleep(MIN_PAUSE + pause.mul_f64(fastrand::f64())).await;
            pause = (pause * 2).min(RETRY.end);
        }
    }

    /// Refreshes the tokens. `None`: a login is necessary.
    async fn refresh(&mut self, current: &Tokens) -> Option<(Tokens, Option<Duration>)> {
        let refresh = current.refresh.as_ref()?;
        let mut pause = RETRY.start;
        loop {
            let body = wire::refresh_body(refresh);
            let exchanged = self.exchange(self.settings.token_refresh_api.clone(), body).await;
            self.observe.refresh(outcome(&exchanged));
            match exchanged {
                Ok(tokens) => return Some(tokens),
                // Usual: another runner with the same user, or a restart, invalidated the refresh token.
                Err(Error::Status { status: 400..=499, .. }) => return None,
                Err(error) => {
                    tracing::warn!(name: "token_refresh_failed", %error, "cannot refresh the token");
                }
            }
            sleep(MIN_PAUSE + pause.mul_f64(fastrand::f64())).await;
            if pause >= RETRY.end {
                return None;
            }
            pause *= 2;
        }
    }

    /// Logs a failed login; repetitions of the same error only at debug level.
    fn report_failure(&mut self, error: &Error) {
        let text = error.to_string();
        self.observe.credentials(Err(text.clone()));
        let repeated = self.publish.borrow().error == text;
        match error {
            _ if repeated => tracing::debug!(name: "login_failed", %error, "login failed again"),
            Error::Status { status: 400 | 401, .. } => tracing::error!(
                name: "login_refused",
                target: "critical",
                user = self.settings.login,
                %error,
                "the backend refuses the login; retrying with growing pauses: check --login and the password"
            ),
            _ => tracing::warn!(name: "login_failed", %error, "cannot log in; retrying"),
        }
        self.publish.send_modify(|state| state.error = text);
    }

    /// Sends a login or refresh and publishes the new tokens. Returns them and the lifetime of the access token.
    async fn exchange(&mut self, route: String, body: Vec<u8>) -> Result<(Tokens, Option<Duration>), Error> {
        let reply = self.http.send(Method::POST, &route, None, Some(body), None).await?;
        if !reply.is_success() {
            return Err(self.http.status_error(&reply, &route));
        }
        let tokens = wire::tokens(&reply.body)
            .map_err(|reason| Error::Unreadable { route, reason: reason.to_owned() })?;
        self.http.secrets.learn(&tokens);
        // The expiry is by the backend's clock, so the lifetime starts at the response's own `Date`.
        let now = reply.date.unwrap_or_else(SystemTime::now);
        let life = wire::expiry(&tokens.access).map(|end| end.duration_since(now).unwrap_or_default());
        self.generation += 1;
        let token = Token { secret: tokens.access.clone(), generation: self.generation };
        self.publish.send_replace(State { token: Some(token), error: String::new() });
        Ok((tokens, life))
    }
}

/// Classifies the result of a login or refresh for [`Observe`].
fn outcome<T>(exchanged: &Result<T, Error>) -> LoginOutcome {
    match exchanged {
        Ok(_) => LoginOutcome::Accepted,
        Err(Error::Status { status: 400..=499, .. }) => LoginOutcome::Refused,
        Err(_) => LoginOutcome::Failed,
    }
}
