//! A task as it was claimed: what to run, and the id to answer under.

use serde_json::value::RawValue;

/// The backend's name for a task: opaque JSON, given back as the very bytes that came.
#[derive(Debug, Clone)]
pub struct TaskId(Box<RawValue>);

impl TaskId {
    /// Wraps the raw JSON value of an `id`.
    pub fn new(raw: Box<RawValue>) -> Self {
        Self(raw)
    }

    /// The JSON value as it came.
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// For logs: the value without the quotes of a string, at most 80 characters, control characters out.
    pub fn for_log(&self) -> String {
        let text = self.0.get().trim_matches('"');
        let mut short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        if text.chars().count() > 80 {
            short.push('…');
        }
        short
    }
}

impl PartialEq for TaskId {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}
impl Eq for TaskId {}

/// A task that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Where the result goes.
    pub id: TaskId,
    /// The student's repository, as asked for; may hold a password, so it is shown through [`crate::text::without_secrets`].
    pub repository_url: String,
    /// The branch to check out; none: the default branch of the repository.
    pub branch: Option<String>,
    /// Laboratories, in the order given; empty: none was named.
    pub laboratories: Vec<u32>,
    /// Names of the tests to run; empty: all.
    pub tests: Vec<String>,
}
