//! The verdict on a task.

use std::fmt;

/// Verdict on a task, as the backend derives it from a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// At least one test ran, and all passed.
    Success,
    /// A test failed or was skipped, or no test ran.
    Failure,
    /// The run failed, or a test raised an error.
    Error,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Error];

    /// The backend's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
