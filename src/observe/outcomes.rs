//! Outcomes of polls and logins, as the metrics count them.

/// Outcome of one poll of the backend for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollOutcome {
    /// The backend gave a task.
    Task,
    /// The backend had no task.
    Empty,
    /// The request failed, or its answer was unusable.
    Failed,
    /// No request was sent, because the spool has no room for a task.
    NoRoom,
}

impl PollOutcome {
    /// All outcomes.
    pub(super) const ALL: [Self; 4] = [Self::Task, Self::Empty, Self::Failed, Self::NoRoom];

    /// Value of the label `outcome`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Empty => "empty",
            Self::Failed => "failed",
            Self::NoRoom => "no_room",
        }
    }
}

/// Outcome of a login or of a refresh of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The backend gave tokens.
    Accepted,
    /// The backend answered with a 4xx.
    Refused,
    /// The request failed, or its answer was unusable.
    Failed,
}

impl LoginOutcome {
    /// All outcomes.
    pub(super) const ALL: [Self; 3] = [Self::Accepted, Self::Refused, Self::Failed];

    /// Value of the label `outcome`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}
