//! The token keeper: one background task owns the tokens, so that a refresh never races another.
//!
//! It refreshes before the access token expires, and at once when somebody met a 401. A refresh that is refused
//! becomes a login; a login that is refused is tried again, ever more slowly, for ever.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use secrecy::SecretString;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::http::Http;
use super::wire::{self, Tokens};
use super::{Error, RETRY, Settings};
use crate::observe::{LoginOutcome, Observe};

/// No refresh comes sooner after another than this, however short the token lives.
const FLOOR: Duration = Duration::from_secs(1);

/// An access token and the number of the login or refresh that brought it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    generation: u64,
}

/// What the keeper shows to the requests.
#[derive(Debug, Clone, Default)]
struct Shown {
    token: Option<Token>,
    /// Why there is none.
    trouble: String,
}

/// The requests' end of the keeper. Dropping it ends the background task.
#[derive(Debug)]
pub(super) struct Keeper {
    shown: watch::Receiver<Shown>,
    stale: mpsc::Sender<u64>,
    http: Arc<Http>,
    task: AbortHandle,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    /// Starts the background task.
    pub(super) fn start(http: Arc<Http>, settings: Settings, observe: Observe) -> Self {
        observe.login_needed();
        let (show, shown) = watch::channel(Shown::default());
        let (stale, asked) = mpsc::channel(16);
        let work = Work { http: http.clone(), settings, show, asked, observe, generation: 0 };
        Self { shown, stale, http, task: tokio::spawn(work.run()).abort_handle() }
    }

    /// The token in force; waits for the first one.
    pub(super) async fn token(&self) -> Result<Token, Error> {
        self.newer_than(0).await
    }

    /// The token after `refused`, which met a 401.
    pub(super) async fn token_after(&self, refused: &Token) -> Result<Token, Error> {
        // A full queue means that the keeper has been asked already.
        self.stale.try_send(refused.generation).ok();
        self.newer_than(refused.generation).await
    }

    async fn newer_than(&self, generation: u64) -> Result<Token, Error> {
        let mut shown = self.shown.clone();
        let newer = |shown: &Shown| shown.token.as_ref().is_some_and(|token| token.generation > generation);
        match timeout(self.http.request_timeout(), shown.wait_for(newer)).await {
            Ok(Ok(shown)) => shown.token.clone().ok_or_else(|| Error::NoToken(String::new())),
            Ok(Err(_)) => Err(Error::NoToken("the token keeper has ended".to_owned())),
            Err(_) => Err(Error::NoToken(self.shown.borrow().trouble.clone())),
        }
    }
}

/// The background task.
struct Work {
    http: Arc<Http>,
    settings: Settings,
    show: watch::Sender<Shown>,
    asked: mpsc::Receiver<u64>,
    observe: Observe,
    generation: u64,
}

impl Work {
    async fn run(mut self) {
        loop {
            let mut tokens = self.login().await;
            while let Some((current, life)) = tokens {
                self.wait_for_need(life).await;
                tokens = self.refresh(&current).await;
            }
        }
    }

    /// Sleeps until the token should be refreshed, or somebody met a 401 with it.
    async fn wait_for_need(&mut self, life: Option<Duration>) {
        let by_life = life.map_or(Duration::MAX, |life| life * 2 / 3);
        let pause = self.settings.refresh_time.min(by_life).max(FLOOR);
        let generation = self.generation;
        let met_401 = async {
            while let Some(stale) = self.asked.recv().await {
                if stale == generation {
                    return;
                }
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = met_401 => {}
        }
    }

    /// Logs in, for as long as it takes.
    async fn login(&mut self) -> Option<(Tokens, Option<Duration>)> {
        let mut pause = RETRY.start;
        loop {
            let body = wire::login_body(&self.settings.login, &self.settings.password);
            let exchanged = self.exchange(self.settings.login_api.clone(), body).await;
            self.observe.login(granted(&exchanged));
            match exchanged {
                Ok(tokens) => {
                    self.observe.credentials(Ok(()));
                    tracing::debug!(name: "logged_in", user = self.settings.login, "logged in");
                    return Some(tokens);
                }
                Err(error) => self.complain(&error),
            }
            // Full jitter: runners that lost the same backend must not come back in step.
            sleep(FLOOR + pause.mul_f64(fastrand::f64())).await;
            pause = (pause * 2).min(RETRY.end);
        }
    }

    /// Refreshes once; none: log in again.
    async fn refresh(&mut self, current: &Tokens) -> Option<(Tokens, Option<Duration>)> {
        let refresh = current.refresh.as_ref()?;
        let mut pause = RETRY.start;
        loop {
            let body = wire::refresh_body(refresh);
            let exchanged = self.exchange(self.settings.token_refresh_api.clone(), body).await;
            self.observe.refresh(granted(&exchanged));
            match exchanged {
                Ok(tokens) => return Some(tokens),
                // Normal: another runner with the same user, or a restart, made the refresh token worthless.
                Err(Error::Status { status: 400..=499, .. }) => return None,
                Err(error) => {
                    tracing::warn!(name: "token_refresh_failed", %error, "the token could not be refreshed");
                }
            }
            sleep(FLOOR + pause.mul_f64(fastrand::f64())).await;
            if pause >= RETRY.end {
                return None;
            }
            pause *= 2;
        }
    }

    fn complain(&mut self, error: &Error) {
        let trouble = error.to_string();
        self.observe.credentials(Err(trouble.clone()));
        let said = self.show.borrow().trouble == trouble;
        match error {
            _ if said => tracing::debug!(name: "login_failed", %error, "login failed again"),
            Error::Status { status: 400 | 401, .. } => tracing::error!(
                name: "login_refused",
                target: "critical",
                user = self.settings.login,
                %error,
                "the backend refuses the login; it is tried again slowly: check --login and the password"
            ),
            _ => tracing::warn!(name: "login_failed", %error, "cannot log in; trying again"),
        }
        self.show.send_modify(|shown| shown.trouble = trouble);
    }

    /// Gets new tokens and shows them; says how long the access token lives.
    async fn exchange(&mut self, route: String, body: Vec<u8>) -> Result<(Tokens, Option<Duration>), Error> {
        let reply = self.http.send(Method::POST, &route, None, Some(body), None).await?;
        if !reply.is_success() {
            return Err(self.http.refusal(&reply, &route));
        }
        let tokens = wire::tokens(&reply.body)
            .map_err(|reason| Error::Unreadable { route, reason: reason.to_owned() })?;
        self.http.secrets.learn(&tokens);
        // The token's end is by the backend's clock, so its life is counted from the backend's own date.
        let now = reply.date.unwrap_or_else(SystemTime::now);
        let life = wire::expiry(&tokens.access).map(|end| end.duration_since(now).unwrap_or_default());
        self.generation += 1;
        let token = Token { secret: tokens.access.clone(), generation: self.generation };
        self.show.send_replace(Shown { token: Some(token), trouble: String::new() });
        Ok((tokens, life))
    }
}

fn granted<T>(exchanged: &Result<T, Error>) -> LoginOutcome {
    match exchanged {
        Ok(_) => LoginOutcome::Accepted,
        Err(Error::Status { status: 400..=499, .. }) => LoginOutcome::Refused,
        Err(_) => LoginOutcome::Failed,
    }
}
