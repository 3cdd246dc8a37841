//! The client of the backend: claims tasks and posts results.
//!
//! A request is sent once, and a second time with a new token after a 401. All other retries are the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use tokio_util::sync::CancellationToken;

use super::credentials::CredentialReporter;
use super::error::Error;
use super::http::{Http, Reply};
use super::settings::{Settings, Timeouts};
use super::tokens::TokenKeeper;
use super::wire::{self, Claim};
use crate::live::Live;
use crate::observe::Observe;

/// Client of one backend.
#[derive(Debug)]
pub struct Backend {
    http: Arc<Http>,
    tokens: Option<TokenKeeper>,
    settings: Settings,
    timeouts: Live<Timeouts>,
    credentials: CredentialReporter,
    /// Whether an empty 200 response confirms a result.
    empty_receipts: AtomicBool,
}

impl Backend {
    /// Creates the client. With `--auth`, starts the background task that logs in. `timeouts` have precedence over those in
    /// `settings`; the result of each request is reported to `observe`.
    ///
    /// # Errors
    ///
    /// [`Error::Client`] if the HTTP client cannot be created.
    pub fn new(settings: Settings, timeouts: Live<Timeouts>, observe: Observe) -> Result<Self, Error> {
        let http = Arc::new(Http::new(&settings, timeouts.clone(), observe.clone())?);
        let tokens =
            settings.auth.then(|| TokenKeeper::start(http.clone(), settings.clone(), observe.clone()));
        let credentials = CredentialReporter::new(observe, settings.auth.then(|| settings.login.clone()));
        Ok(Self { http, tokens, settings, timeouts, credentials, empty_receipts: AtomicBool::new(false) })
    }

    /// Maximum time of [`Self::claim`]: two requests, and the wait for a token before each.
    pub fn max_claim_time(&self) -> Duration {
        let Timeouts { request, claim } = self.timeouts.get();
        claim.saturating_add(request).saturating_mul(2)
    }

    /// Requests a task. Returns the classified response and its body.
    ///
    /// A task in the response exists nowhere else, so the request is not cancelled once it is sent; `give_up` only ends the
    /// wait for a token before it.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`] if nothing was received, [`Error::Status`] for another status than 2xx and 404,
    /// [`Error::NoToken`] if there is no token.
    pub async fn claim(&self, give_up: &CancellationToken) -> Result<(Claim, Vec<u8>), Error> {
        let timeout = Some(self.timeouts.get().claim);
        let reply = match self.send(Method::GET, &self.settings.get_api, None, timeout, give_up).await {
            // The received part may contain the id of a task.
            Err(Error::Unreachable { received, .. }) if !received.is_empty() => Reply::truncated(received),
            other => other?,
        };
        // 404 can mean that there is no task.
        if !reply.is_success() && reply.status != 404 {
            return Err(self.http.status_error(&reply, &self.settings.get_api));
        }
        let claim = wire::claim(reply.status, &reply.body);
        if let Claim::Unanswerable { reason } = &claim {
            let body = self.http.hide(&reply.body);
            // A string field, because the log escapes it: the body may contain line breaks and terminal escapes.
            tracing::error!(name: "claim_malformed", reason, body, "the backend's response may be a task, but has no id to answer with");
        }
        Ok((claim, reply.body))
    }

    /// Posts the body of a result.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] for another status than 2xx, [`Error::EmptyReceipt`] for a 200 without a body,
    /// [`Error::Unreadable`] for a 200 that is not a receipt, [`Error::Unreachable`] and [`Error::NoToken`].
    pub async fn post(&self, body: &[u8]) -> Result<(), Error> {
        let route = &self.settings.post_api;
        let reply = self.send(Method::POST, route, Some(body), None, &CancellationToken::new()).await?;
        if !reply.is_success() {
            return Err(self.http.status_error(&reply, route));
        }
        if reply.status != 200 {
            return Ok(());
        }
        if reply.body.is_empty() {
            let known = self.empty_receipts.load(Ordering::Relaxed);
            return if known { Ok(()) } else { Err(Error::EmptyReceipt { route: route.clone() }) };
        }
        self.empty_receipts.store(false, Ordering::Relaxed);
        if !wire::is_receipt(&reply.body) {
            let excerpt = self.http.excerpt(&reply.body);
            let reason = format!("the backend answered 200 without a receipt: {excerpt}");
            return Err(Error::Unreadable { route: route.clone(), reason });
        }
        Ok(())
    }

    /// From now on, an empty 200 response confirms a result: this backend always answers so.
    pub fn accept_empty_receipts(&self) {
        if !self.empty_receipts.swap(true, Ordering::Relaxed) {
            tracing::warn!(name: "empty_receipts_accepted", "the backend confirms results with empty responses; they are accepted as receipts");
        }
    }

    /// Sends a request, with a token if the runner logs in, and a second time with a new token after a 401.
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
            self.credentials.report(reply.status, path);
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
        self.credentials.report(reply.status, path);
        Ok(reply)
    }
}
