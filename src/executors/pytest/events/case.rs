//! One case and its events.

use std::time::Duration;

use report::Outcome;

/// The state of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was named and has not started.
    Collected,
    Running,
    Ended(Outcome),
}

impl State {
    /// The state in a warning.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Collected => "not run",
            Self::Running => "not finished",
            Self::Ended(Outcome::Passed) => "passed",
            Self::Ended(Outcome::Failed) => "failed",
            Self::Ended(Outcome::Errored) => "errored",
            Self::Ended(Outcome::Skipped) => "skipped",
        }
    }
}

/// One case, as its events describe it.
#[derive(Debug)]
pub(super) struct CaseRecord {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) description: String,
    pub(super) duration: Duration,
    /// Peak memory, in bytes.
    pub(super) memory: Option<u64>,
    /// A sentence about the case, such as why its program was killed.
    pub(super) note: Option<String>,
}

impl CaseRecord {
    /// A case that has not started.
    pub(super) fn collected(name: String) -> Self {
        Self {
            name,
            state: State::Collected,
            description: String::new(),
            duration: Duration::ZERO,
            memory: None,
            note: None,
        }
    }
}
