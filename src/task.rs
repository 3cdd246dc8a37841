//! A claimed task: what to run, and the id for the answer.

use serde_json::value::RawValue;

/// Maximum length of an id in a log line, in characters.
const MAX_LOG_CHARS: usize = 1000;

/// The backend's id of a task: opaque JSON, returned byte for byte.
#[derive(Debug, Clone)]
pub struct TaskId(Box<RawValue>);

impl TaskId {
    /// Wraps the raw JSON value of an `id`.
    pub fn new(raw: Box<RawValue>) -> Self {
        Self(raw)
    }

    /// The JSON value as received.
    pub fn raw(&self) -> &RawValue {
        &self.0
    }

    /// The id for logs: a string without quotes, anything else as JSON. Not shortened below 1,000 characters, so that a
    /// search for the id finds all its lines.
    pub fn for_log(&self) -> String {
        self.truncate(MAX_LOG_CHARS)
    }

    /// The id for tables and names: at most 80 characters and `…`, without control characters.
    pub fn short(&self) -> String {
        self.truncate(80).replace(char::is_control, "")
    }

    fn truncate(&self, max: usize) -> String {
        let raw = self.0.get();
        let text = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.trim_matches('"').to_owned());
        match text.char_indices().nth(max) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

impl PartialEq for TaskId {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}
impl Eq for TaskId {}

/// A valid task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The id for the result.
    pub id: TaskId,
    /// The student's repository; may contain a password, so it is only shown through [`text::without_secrets`].
    pub repository_url: String,
    /// The branch to check out; `None`: the default branch of the repository.
    pub branch: Option<String>,
    /// Laboratory numbers in the received order; empty if the task has none.
    pub laboratories: Vec<u32>,
    /// Names of the tests to run; empty: all tests.
    pub tests: Vec<String>,
}
