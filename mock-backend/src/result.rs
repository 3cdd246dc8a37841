//! The result of a task, as the body of a result request carries it.

use serde::{Deserialize, Serialize};

/// A result as it was posted, without its `id`. A lone surrogate in a text is shown as U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult {
    /// Whether the task counts as passed.
    pub is_passed: bool,
    /// Duration of the task in milliseconds.
    pub duration: i64,
    /// One entry for each test case, in the order of the report.
    pub test_results: Vec<CaseResult>,
    /// Whether the task ended in an error instead of a verdict.
    pub is_error: bool,
    /// Description of the error; empty if there was none.
    pub error_details: String,
}

/// One test case of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    /// `classname::name`.
    pub name: String,
    /// False on failure, error and skip.
    pub is_passed: bool,
    /// Failure message; empty if the case passed.
    pub description: String,
    /// Memory used, in megabytes.
    pub memory_used: i64,
    /// Duration of the case in milliseconds.
    pub duration: i64,
}
