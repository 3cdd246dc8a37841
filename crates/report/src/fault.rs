//! A failed run: where it failed, and who is to blame.

use std::fmt;

/// Position of a task on its way from the claim to the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Reads the claim of the backend.
    Claim,
    /// Checks out the student's repository.
    Checkout,
    /// Prepares the suite and its environment.
    Prepare,
    /// Runs the suite.
    Execute,
    /// Reads the suite's report.
    Report,
}

impl Progress {
    /// All positions, in order.
    pub const ALL: [Self; 5] = [Self::Claim, Self::Checkout, Self::Prepare, Self::Execute, Self::Report];

    /// The name in logs, metrics and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Checkout => "checkout",
            Self::Prepare => "prepare",
            Self::Execute => "execute",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Cause of a fault: who or what is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The task itself cannot be run: for example its branch does not exist, or its names select no test.
    Task,
    /// The student's program.
    Program,
    /// The test suite or its environment.
    Suite,
    /// Network, disk or the runner itself; a later try may succeed.
    Infrastructure,
    /// A limit of this runner, such as time or size.
    Limit,
    /// A request to stop the runner.
    Interruption,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 6] =
        [Self::Task, Self::Program, Self::Suite, Self::Infrastructure, Self::Limit, Self::Interruption];

    /// The name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Program => "program",
            Self::Suite => "suite",
            Self::Infrastructure => "infrastructure",
            Self::Limit => "limit",
            Self::Interruption => "interruption",
        }
    }
}

/// A failed run: where it failed, who is to blame, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Where the run failed.
    pub progress: Progress,
    /// Who is to blame.
    pub cause: Cause,
    /// One sentence about the failure, without secrets.
    pub message: String,
}

impl Fault {
    /// A fault of `cause` at `progress`.
    pub fn new(progress: Progress, cause: Cause, message: impl Into<String>) -> Self {
        Self { progress, cause, message: message.into() }
    }
}
