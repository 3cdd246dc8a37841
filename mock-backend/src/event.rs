//! What happens, as it happens: one event for each claim, result, login and fault, for those who look on.

use std::fmt;

use crate::store::{Attempt, Status};
use crate::task::TaskId;

/// Something that happened. Its `Display` is one line for people.
#[derive(Debug, Clone)]
pub enum Event {
    /// A task was handed out.
    Claimed {
        /// Its id; `None` where the claim has none.
        id: Option<TaskId>,
    },
    /// A result was accepted.
    Answered {
        /// Its id.
        id: TaskId,
        /// What became of the attempt.
        status: Status,
        /// The result's own duration in milliseconds.
        duration_ms: i64,
        /// How many cases passed.
        passed: usize,
        /// How many cases there are.
        cases: usize,
        /// How many results were accepted for the attempt by now.
        times: usize,
        /// What is wrong, if something is.
        details: String,
    },
    /// A result was not accepted, or someone was turned away.
    Refused {
        /// The status that was answered.
        status: u16,
        /// Why.
        why: String,
    },
    /// Tokens were issued.
    LoggedIn {
        /// Whether by a refresh token.
        refreshed: bool,
    },
    /// A request met a fault.
    Fault {
        /// The fault in words.
        words: String,
        /// The request's method and path.
        request: String,
    },
    /// The sweep gave an attempt up.
    TimedOut {
        /// Its id.
        id: Option<TaskId>,
    },
}

impl Event {
    /// The event of an attempt that has just got a result.
    pub(crate) fn answered(attempt: &Attempt) -> Option<Self> {
        let stored = attempt.result.as_ref()?;
        let cases = &stored.result.test_results;
        Some(Self::Answered {
            id: stored.id.clone(),
            status: attempt.status,
            duration_ms: stored.result.duration,
            passed: cases.iter().filter(|case| case.is_passed).count(),
            cases: cases.len(),
            times: stored.times,
            details: stored.result.error_details.clone(),
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |id: &Option<TaskId>| id.as_ref().map_or("(without id)".to_owned(), ToString::to_string);
        match self {
            Self::Claimed { id } => write!(f, "claimed  {}", name(id)),
            Self::Answered { id, status, duration_ms, passed, cases, times, details } => {
                write!(f, "answered {id} {status} in {duration_ms} ms, {passed} of {cases} cases passed")?;
                if *times > 1 {
                    write!(f, " (result number {times})")?;
                }
                // One line, whatever the other side sends.
                if details.is_empty() { Ok(()) } else { write!(f, ": {}", details.escape_debug()) }
            }
            Self::Refused { status, why } => write!(f, "refused  {status}: {}", why.escape_debug()),
            Self::LoggedIn { refreshed: false } => f.write_str("login    tokens issued"),
            Self::LoggedIn { refreshed: true } => f.write_str("refresh  tokens rotated"),
            Self::Fault { words, request } => write!(f, "fault    {words} for {request}"),
            Self::TimedOut { id } => write!(f, "timeout  {}", name(id)),
        }
    }
}
