//! Events for subscribers: one for each claim, result, login and injected fault.

use std::fmt;

use crate::records::{Attempt, Status};
use crate::task::TaskId;

/// An event of the backend. `Display` renders it as one line.
#[derive(Debug, Clone)]
pub enum Event {
    /// A task was claimed.
    Claimed {
        /// Its id; `None` if the claim has none.
        id: Option<TaskId>,
    },
    /// A result was accepted.
    Answered {
        /// Its id.
        id: TaskId,
        /// Status of the attempt after the result.
        status: Status,
        /// The duration that the result reports, in milliseconds.
        duration_ms: i64,
        /// Number of passed cases.
        passed: usize,
        /// Number of cases.
        cases: usize,
        /// Number of results accepted for the attempt so far.
        deliveries: usize,
        /// `errorDetails` of the result.
        details: String,
    },
    /// A result was refused, or a login or token was denied.
    Refused {
        /// Status of the response.
        status: u16,
        /// Reason.
        reason: String,
    },
    /// Tokens were issued.
    LoggedIn {
        /// Whether a refresh token was used.
        refreshed: bool,
    },
    /// A fault was injected.
    Fault {
        /// The faults, in the notation of `--fault`.
        description: String,
        /// Method and path of the request.
        request: String,
    },
    /// The sweep timed out an attempt.
    TimedOut {
        /// Its id; `None` if the claim has none.
        id: Option<TaskId>,
    },
}

impl Event {
    /// The event of an accepted result; `None` if the attempt has no result.
    pub(crate) fn answered(attempt: &Attempt) -> Option<Self> {
        let stored = attempt.result.as_ref()?;
        let cases = &stored.result.test_results;
        Some(Self::Answered {
            id: stored.id.clone(),
            status: attempt.status,
            duration_ms: stored.result.duration,
            passed: cases.iter().filter(|case| case.is_passed).count(),
            cases: cases.len(),
            deliveries: stored.deliveries,
            details: stored.result.error_details.clone(),
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |id: &Option<TaskId>| id.as_ref().map_or("(without id)".to_owned(), ToString::to_string);
        match self {
            Self::Claimed { id } => write!(f, "claimed  {}", name(id)),
            Self::Answered { id, status, duration_ms, passed, cases, deliveries, details } => {
                write!(f, "answered {id} {status} in {duration_ms} ms, {passed} of {cases} cases passed")?;
                if *deliveries > 1 {
                    write!(f, " (result number {deliveries})")?;
                }
                // Escaped because the client controls the text and an event is one line.
                if details.is_empty() { Ok(()) } else { write!(f, ": {}", details.escape_debug()) }
            }
            Self::Refused { status, reason } => write!(f, "refused  {status}: {}", reason.escape_debug()),
            Self::LoggedIn { refreshed: false } => f.write_str("login    tokens issued"),
            Self::LoggedIn { refreshed: true } => f.write_str("refresh  tokens rotated"),
            Self::Fault { description, request } => write!(f, "fault    {description} for {request}"),
            Self::TimedOut { id } => write!(f, "timeout  {}", name(id)),
        }
    }
}
