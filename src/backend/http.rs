//! One HTTP exchange with the backend: bounded in time and size, never following a redirect with a token.

use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::secrets::Secrets;
use super::{Error, Settings, Timeouts};
use crate::live::Live;
use crate::observe::Observe;
use text::{one_line, shorten, without_secrets};

/// The longest answer that is read. A claim with thousands of test names is far below it.
const LONGEST_ANSWER: usize = 4 << 20;

/// An answer of the backend, whatever its status.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The backend's clock as it answered.
    pub(super) date: Option<SystemTime>,
    retry_after: Option<Duration>,
    /// Where it redirects to.
    location: Option<String>,
}

impl Reply {
    /// A success whose body is only this much of what was sent.
    pub(super) fn cut(body: Vec<u8>) -> Self {
        Self { status: 200, body, date: None, retry_after: None, location: None }
    }

    /// Whether the status is one of success.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Whether a connection to `backend` can be one with TLS: its own, or that to a proxy on the way. Redirects are not
/// followed.
fn may_meet_tls(backend: &Url) -> bool {
    let proxy = |name: &str| std::env::var(name).is_ok_and(|url| !url.starts_with("http://"));
    backend.scheme() != "http"
        || ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().any(proxy)
}

/// The HTTP client and where the backend is.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base: Url,
    timeouts: Live<Timeouts>,
    observe: Observe,
    /// What is shown of no answer.
    pub(super) secrets: Secrets,
}

impl Http {
    pub(super) fn new(
        settings: &Settings,
        timeouts: Live<Timeouts>,
        observe: Observe,
    ) -> Result<Self, Error> {
        // A second runner in the same process has set it already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder();
        // The system's authorities are some hundred files, parsed one by one: read where TLS can be met alone.
        let client = if may_meet_tls(&settings.backend_url) { client } else { client.tls_certs_only([]) };
        let client = client
            .user_agent(concat!("ostest-runner/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Client(full_text(&error)))?;
        let (base, secrets) = (settings.backend_url.clone(), Secrets::new(settings));
        Ok(Self { client, base, timeouts, observe, secrets })
    }

    /// The error that a status without success is.
    pub(super) fn refusal(&self, reply: &Reply, route: &str) -> Error {
        let body = match &reply.location {
            Some(to) => format!(" to {}; set --backend-url to where it leads", self.excerpt(to.as_bytes())),
            None => match self.excerpt(&reply.body) {
                text if text.is_empty() => text,
                text => format!(": {text}"),
            },
        };
        Error::Status { route: route.to_owned(), status: reply.status, body, retry_after: reply.retry_after }
    }

    /// What the backend said, on a short line. What could be a secret goes before anything is cut: half a URL does not
    /// look like one.
    pub(super) fn excerpt(&self, said: &[u8]) -> String {
        let text: String = self.hide(said).chars().take(800).collect();
        shorten(&one_line(&text), 200).into_owned()
    }

    /// What the backend said, without secrets: those of URLs, and what the runner itself logs in with.
    pub(super) fn hide(&self, said: &[u8]) -> String {
        let text = self.secrets.hide(&String::from_utf8_lossy(said));
        without_secrets(&text).into_owned()
    }

    /// How long a request may take as a whole.
    pub(super) fn request_timeout(&self) -> Duration {
        self.timeouts.get().request
    }

    /// Sends a request to `path` below the backend's URL and reads the answer.
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
            // What a failure says is no task, whatever it calls its own id.
            reply.body.clear();
        }
        match read {
            Ok(()) => Ok(reply),
            Err(ReadError::Broken(error)) => Err(failed(error, reply.body)),
            Err(ReadError::TooLong) => Err(Error::Unreachable {
                route: path.to_owned(),
                sent: true,
                reason: format!("the answer is longer than {} MiB", LONGEST_ANSWER >> 20),
                received: reply.body,
            }),
        }
    }
}

enum ReadError {
    Broken(reqwest::Error),
    TooLong,
}

/// What the head of an answer says; the body is still to be read.
fn head(response: &Response) -> Reply {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let date = header(DATE).and_then(|text| httpdate::parse_http_date(text).ok());
    let retry_after = header(RETRY_AFTER).and_then(|text| match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        // The other form is a date, by the backend's own clock.
        Err(_) => {
            httpdate::parse_http_date(text).ok()?.duration_since(date.unwrap_or_else(SystemTime::now)).ok()
        }
    });
    let location = header(LOCATION).map(str::to_owned);
    Reply { status: response.status().as_u16(), body: Vec::new(), date, retry_after, location }
}

/// Reads the body into `body`, which keeps what has arrived where that fails.
async fn read(response: &mut Response, body: &mut Vec<u8>) -> Result<(), ReadError> {
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Broken)? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(ReadError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(())
}

/// An error with its causes: the outermost text of an HTTP error says next to nothing.
fn full_text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}
