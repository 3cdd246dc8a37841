//! A task as it was claimed: what to run, and the id to answer under.

use serde_json::value::RawValue;

/// The longest id that a line of the log holds, in characters.
const LONGEST: usize = 1000;

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

    /// For logs: a string as it is, anything else as JSON, as a whole: who has the id finds all its lines. Only what is
    /// longer than any id is cut.
    pub fn for_log(&self) -> String {
        self.cut(LONGEST)
    }

    /// For people, in a table or a name: the same, at most 80 characters, control characters out.
    pub fn short(&self) -> String {
        self.cut(80).replace(char::is_control, "")
    }

    fn cut(&self, most: usize) -> String {
        let raw = self.0.get();
        let text = serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.trim_matches('"').to_owned());
        match text.char_indices().nth(most) {
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

/// A task that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Where the result goes.
    pub id: TaskId,
    /// The student's repository, as asked for; may hold a password, so it is shown through [`text::without_secrets`].
    pub repository_url: String,
    /// The branch to check out; none: the default branch of the repository.
    pub branch: Option<String>,
    /// Laboratories, in the order given; empty: none was named.
    pub laboratories: Vec<u32>,
    /// Names of the tests to run; empty: all.
    pub tests: Vec<String>,
}
