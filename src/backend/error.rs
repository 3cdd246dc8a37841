//! Errors of requests to the backend.

use std::time::Duration;

/// Failed request to the backend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client could not be created.
    #[error("cannot set up HTTP: {0}")]
    Client(String),
    /// No complete response was received.
    #[error("{route}: {reason}")]
    Unreachable {
        /// Path of the request.
        route: String,
        /// The reason.
        reason: String,
        /// Whether the request may have reached the backend.
        sent: bool,
        /// The received part of the body of a successful response.
        received: Vec<u8>,
    },
    /// The response is not valid.
    #[error("{route}: {reason}")]
    Unreadable {
        /// Path of the request.
        route: String,
        /// The reason.
        reason: String,
    },
    /// A 200 response without a body: some backends confirm results so, but so does a broken proxy.
    #[error("{route}: the backend answered 200 with an empty body")]
    EmptyReceipt {
        /// Path of the request.
        route: String,
    },
    /// The backend answered with a status other than 2xx.
    #[error("{route}: the backend answered {status}{body}")]
    Status {
        /// Path of the request.
        route: String,
        /// HTTP status.
        status: u16,
        /// The beginning of the body, or the target of a redirect.
        body: String,
        /// Time to wait before a retry, from `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// There is no valid access token.
    #[error("no token: {0}")]
    NoToken(String),
}
