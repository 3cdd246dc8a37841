//! One HTTP request to the backend, with limits on time and size. Redirects are not followed.

use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::error::Error;
use super::secrets::Secrets;
use super::settings::{Settings, Timeouts};
use crate::live::Live;
use crate::observe::Observe;
use text::{one_line, shorten, without_secrets};

/// Maximum size of a response body in bytes, far above a claim with thousands of test names.
const MAX_BODY_BYTES: usize = 4 << 20;

/// Response of the backend with any status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// Time of the response by the backend's clock.
    pub(super) date: Option<SystemTime>,
    retry_after: Option<Duration>,
    /// Target of a redirect.
    location: Option<String>,
}

impl Reply {
    /// A successful response with a truncated body.
    pub(super) fn truncated(body: Vec<u8>) -> Self {
        Self { status: 200, body, date: None, retry_after: None, location: None }
    }

    /// Whether the status is 2xx.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Whether the connection to `backend`, or to a proxy, may use TLS.
fn may_use_tls(backend: &Url) -> bool {
    let proxy = |name: &str| std::env::var(name).is_ok_and(|url| !url.starts_with("http://"));
    backend.scheme() != "http"
        || ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().any(proxy)
}

/// The HTTP client of one backend.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base: Url,
    timeouts: Live<Timeouts>,
    observe: Observe,
    /// Secrets that are removed from all excerpts of responses.
    pub(super) secrets: Secrets,
}

impl Http {
    /// Creates the client; fails if TLS cannot be set up.
    pub(super) fn new(
        settings: &Settings,
        timeouts: Live<Timeouts>,
        observe: Observe,
    ) -> Result<Self, Error> {
        // Fails only if another runner in this process installed it before.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder();
        // The system's certificates are hundreds of files, so they are loaded only if TLS may be used.
        let client = if may_use_tls(&settings.backend_url) { client } else { client.tls_certs_only([]) };
        let client = client
            .user_agent(concat!("ostest-runner/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Client(full_text(&error)))?;
        let (base, secrets) = (settings.backend_url.clone(), Secrets::new(settings));
        Ok(Self { client, base, timeouts, observe, secrets })
    }

    /// The error for a status other than 2xx.
    pub(super) fn status_error(&self, reply: &Reply, route: &str) -> Error {
        let body = match &reply.location {
            Some(to) => format!(
                " to {}; set --backend-url to the target of this redirect",
                self.excerpt(to.as_bytes())
            ),
            None => match self.excerpt(&reply.body) {
                text if text.is_empty() => text,
                text => format!(": {text}"),
            },
        };
        Error::Status { route: route.to_owned(), status: reply.status, body, retry_after: reply.retry_after }
    }

    /// One short line of a response, without secrets. They are removed before truncation, because a truncated URL is not
    /// recognized as one.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
        let text: String = self.hide(body).chars().take(800).collect();
        shorten(&one_line(&text), 200).into_owned()
    }

    /// A response without the secrets in URLs and without the runner's password and tokens.
    pub(super) fn hide(&self, body: &[u8]) -> String {
        let text = self.secrets.hide(&String::from_utf8_lossy(body));
        without_secrets(&text).into_owned()
    }

    /// Maximum time of a request, including its response.
    pub(super) fn request_timeout(&self) -> Duration {
        self.timeouts.get().request
    }

    /// Sends a request to `path` below the backend's URL, reads the response, and reports it to [`Observe`].
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Option<Vec<u8>>,
        timeout: Option<Duration>,
    ) -> Result<Reply, Error> {
        let reply = self.exchange(method, path, token, body, timeout).await;
        self.observe.contact(reply.as_ref().map(|reply| reply.status).map_err(ToString::to_string));
        reply
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Option<Vec<u8>>,
        timeout: Option<Duration>,
    ) -> Result<Reply, Error> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let mut request = self.client.request(method, url);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request = request.timeout(timeout.unwrap_or_else(|| self.request_timeout()));
        let failed = |error: reqwest::Error, received| Error::Unreachable {
            route: path.to_owned(),
            sent: !error.is_connect() && !error.is_builder(),
            reason: full_text(&error.without_url()),
            received,
        };
        let mut response = request.send().await.map_err(|error| failed(error, Vec::new()))?;
        let mut reply = head(&response);
        let read = read(&mut response, &mut reply.body).await;
        if read.is_err() && !reply.is_success() {
            // Only a successful response can contain a task.
            reply.body.clear();
        }
        match read {
            Ok(()) => Ok(reply),
            Err(ReadError::Broken(error)) => Err(failed(error, reply.body)),
            Err(ReadError::TooLong) => Err(Error::Unreachable {
                route: path.to_owned(),
                sent: true,
                reason: format!("the response is longer than {} MiB", MAX_BODY_BYTES >> 20),
                received: reply.body,
            }),
        }
    }
}

/// Why a body was not received completely.
enum ReadError {
    /// The connection failed.
    Broken(reqwest::Error),
    /// The body exceeds [`MAX_BODY_BYTES`].
    TooLong,
}

/// Builds a reply from status and headers, with an empty body.
fn head(response: &Response) -> Reply {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let date = header(DATE).and_then(|text| httpdate::parse_http_date(text).ok());
    let retry_after = header(RETRY_AFTER).and_then(|text| match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        // The other form is a date by the backend's clock.
        Err(_) => {
            httpdate::parse_http_date(text).ok()?.duration_since(date.unwrap_or_else(SystemTime::now)).ok()
        }
    });
    let location = header(LOCATION).map(str::to_owned);
    Reply { status: response.status().as_u16(), body: Vec::new(), date, retry_after, location }
}

/// Appends the body to `body`, which contains the received part if this fails.
async fn read(response: &mut Response, body: &mut Vec<u8>) -> Result<(), ReadError> {
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Broken)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(ReadError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(())
}

/// The message of an error with those of its causes; reqwest's own message lacks the reason.
fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = inner.source();
    }
    text
}
