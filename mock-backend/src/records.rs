//! Records that the backend keeps: attempts, results, refused results, violations and requests.

use std::fmt;
use std::time::Instant;

use axum::body::Bytes;

use crate::fault::Endpoint;
use crate::result::TaskResult;
use crate::task::TaskId;

/// Status of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Submitted, not yet claimed.
    Pending,
    /// Claimed, no result yet.
    InProgress,
    /// Has a result that passed.
    Success,
    /// Has a result that did not pass.
    Failure,
    /// Has a result with `isError`.
    Error,
    /// Timed out by the sweep; a later result replaces this status.
    Timeout,
}

impl Status {
    /// The status that the deployed backend derives from a result: `isError` takes precedence over `isPassed`.
    pub(crate) fn from_result(result: &TaskResult) -> Self {
        match (result.is_error, result.is_passed) {
            (true, _) => Self::Error,
            (false, true) => Self::Success,
            (false, false) => Self::Failure,
        }
    }

    /// The name that the deployed backend uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Error => "ERROR",
            Self::Timeout => "TIMEOUT",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A submitted task and its result.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id; `None` if the claim has none.
    pub id: Option<TaskId>,
    /// The body of the response to its claim.
    pub claim: Bytes,
    /// Its status.
    pub status: Status,
    /// Time of submission.
    pub created: Instant,
    /// Time of the claim.
    pub claimed: Option<Instant>,
    /// The accepted result.
    pub result: Option<StoredResult>,
}

/// An accepted result.
#[derive(Debug, Clone)]
pub struct StoredResult {
    /// The id of the attempt, as it was submitted.
    pub id: TaskId,
    /// The latest body, byte for byte.
    pub body: Bytes,
    /// The latest body, parsed.
    pub result: TaskResult,
    /// Time at which the first result was received.
    pub received: Instant,
    /// Number of results accepted for this attempt: 1, plus 1 for each duplicate.
    pub deliveries: usize,
    /// The bodies in order, without those that equal their predecessor; one body if all duplicates are identical.
    pub versions: Vec<Bytes>,
}

/// A refused result.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Its id, if it could be parsed.
    pub id: Option<TaskId>,
    /// Status of the response.
    pub status: u16,
    /// Reason of the refusal.
    pub reason: String,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Time of the refusal.
    pub at: Instant,
}

/// A violation of the contract by the client.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The id of the result that contains it, if the id could be parsed.
    pub id: Option<TaskId>,
    /// Description of the violation.
    pub description: String,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// A received request. Requests under `/mock/` are not recorded.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// Sequence number, from 0.
    pub number: u64,
    /// Time at which the request was received completely.
    pub at: Instant,
    /// The endpoint; `None` if method and path are not part of the contract.
    pub endpoint: Option<Endpoint>,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Status of the response; `None` before the response and for a dropped connection.
    pub status: Option<u16>,
    /// The injected faults, in the notation of `--fault`.
    pub fault: Option<String>,
}

impl RequestRecord {
    /// The first header with this name, ignoring case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
