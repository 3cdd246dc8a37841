//! Tasks as claim responses: an ordered list of raw JSON fields, so that a test can send arbitrary content.
//! Ids are opaque raw JSON and are compared byte for byte.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The `id` of a task as raw JSON text: `"3fa85f64-…"` with its quotes, `21`, or anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(String);

impl TaskId {
    /// An id with exactly this JSON text. The text is not validated, so that tests can use invalid ids.
    pub fn raw(json: impl Into<String>) -> Self {
        Self(json.into())
    }

    /// An id that is a JSON string.
    pub fn string(text: &str) -> Self {
        Self(json!(text).to_string())
    }

    /// A random UUID (version 4).
    pub fn uuid() -> Self {
        let random = fastrand::u128(..) & !(0xF << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
        let hex = format!("{random:032x}");
        Self(format!("\"{}-{}-{}-{}-{}\"", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
    }

    /// The JSON text, including quotes.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl From<u64> for TaskId {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl fmt::Display for TaskId {
    /// Shows a string without its quotes, and any other JSON text unchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.trim_matches('"'))
    }
}

/// A task to submit. Starts with the usual fields; every field can be replaced by raw JSON or removed.
#[derive(Debug, Clone, Default)]
pub struct NewTask {
    id: Option<TaskId>,
    without_id: bool,
    fields: Vec<(String, String)>,
}

impl NewTask {
    /// A task for a branch of a repository, without a laboratory number and without a selection of tests.
    pub fn new(repository_url: &str, branch: &str) -> Self {
        Self::default()
            .field("status", r#""AVAILABLE""#)
            .field("repositoryUrl", json!(repository_url).to_string())
            .field("branch", json!(branch).to_string())
    }

    /// Sets the id instead of generating one.
    #[must_use]
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets `"laboratoryNumber"` to one number.
    #[must_use]
    pub fn lab(self, number: i64) -> Self {
        self.field("laboratoryNumber", number.to_string())
    }

    /// Sets `"laboratoryNumber"` to an integer for one number, to a list for several; removes the field for none.
    #[must_use]
    pub fn labs(self, numbers: &[i64]) -> Self {
        match numbers {
            [] => self.without("laboratoryNumber"),
            [one] => self.lab(*one),
            several => self.field("laboratoryNumber", json!(several).to_string()),
        }
    }

    /// Sets `"connectedTests"` to a list of names, which may be empty.
    #[must_use]
    pub fn tests<S: AsRef<str>>(self, names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<Value> = names.into_iter().map(|name| name.as_ref().into()).collect();
        self.field("connectedTests", Value::from(names).to_string())
    }

    /// Sets a field to a raw JSON text. Replaces the previous value.
    #[must_use]
    pub fn field(mut self, name: &str, json: impl Into<String>) -> Self {
        if name == "id" {
            return self.id(TaskId::raw(json));
        }
        let json = json.into();
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some((_, value)) => *value = json,
            None => self.fields.push((name.to_owned(), json)),
        }
        self
    }

    /// Removes a field; this also works for `id`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.without_id |= name == "id";
        self.fields.retain(|(known, _)| known != name);
        self
    }

    /// The id that the caller set.
    pub(crate) fn chosen_id(&self) -> Option<&TaskId> {
        self.id.as_ref()
    }

    /// The body of the claim response, with this id.
    pub(crate) fn claim(&self, id: &TaskId) -> String {
        let id = (!self.without_id).then(|| ("id".to_owned(), id.0.clone()));
        let fields: Vec<String> =
            id.iter().chain(&self.fields).map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        format!("{{{}}}", fields.join(","))
    }
}

/// Error of parsing a file of tasks.
#[derive(Debug, thiserror::Error)]
pub enum TaskFileError {
    /// The text is neither a JSON object, nor a JSON array of objects, nor JSON Lines.
    #[error("{place}: not a JSON object: {cause}")]
    Json {
        /// The line or the number of the task.
        place: String,
        /// Error of the JSON parser.
        cause: serde_json::Error,
    },
    /// A task without a required field.
    #[error("{place}: the task has no string \"{field}\"")]
    Missing {
        /// The line or the number of the task.
        place: String,
        /// The missing field.
        field: &'static str,
    },
}

/// Parses tasks in the form of a claim response: one JSON object, a JSON array of objects, or one object per line.
/// `status` and `id` are optional. All fields keep their JSON text.
///
/// # Errors
/// [`TaskFileError::Json`] if the text has another form, [`TaskFileError::Missing`] if a task lacks `repositoryUrl` or
/// `branch`.
pub fn read_tasks(text: &str) -> Result<Vec<NewTask>, TaskFileError> {
    type Object = BTreeMap<String, Box<RawValue>>;
    let json = |place: &str| {
        let place = place.to_owned();
        move |cause| TaskFileError::Json { place, cause }
    };
    if text.trim_start().starts_with('[') {
        let items: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(json("the array"))?;
        return items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let place = format!("task {}", index + 1);
                task(&serde_json::from_str::<Object>(item.get()).map_err(json(&place))?, &place)
            })
            .collect();
    }
    if let Ok(one) = serde_json::from_str::<Object>(text) {
        return Ok(vec![task(&one, "the task")?]);
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let place = format!("line {}", index + 1);
            task(&serde_json::from_str::<Object>(line).map_err(json(&place))?, &place)
        })
        .collect()
}

fn task(object: &BTreeMap<String, Box<RawValue>>, place: &str) -> Result<NewTask, TaskFileError> {
    for field in ["repositoryUrl", "branch"] {
        if !object.get(field).is_some_and(|value| value.get().starts_with('"')) {
            return Err(TaskFileError::Missing { place: place.to_owned(), field });
        }
    }
    let task = NewTask::default().field("status", r#""AVAILABLE""#);
    Ok(object.iter().fold(task, |task, (name, value)| task.field(name, value.get())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claim_has_the_fields_of_the_contract() {
        let task = NewTask::new("https://example.org/a.git", "main").lab(1).tests(["test1", "test2"]);
        let claim: Value = serde_json::from_str(&task.claim(&TaskId::from(21))).unwrap();
        let expected = json!({
            "status": "AVAILABLE", "id": 21, "repositoryUrl": "https://example.org/a.git", "branch": "main",
            "laboratoryNumber": 1, "connectedTests": ["test1", "test2"],
        });
        assert_eq!(claim, expected);
    }

    #[test]
    fn laboratory_number_is_integer_list_or_absent() {
        let field = |labs: &[i64]| {
            let claim = NewTask::new("u", "b").labs(labs).claim(&TaskId::from(1));
            serde_json::from_str::<Value>(&claim).unwrap().get("laboratoryNumber").cloned()
        };
        assert_eq!(field(&[]), None);
        assert_eq!(field(&[3]), Some(json!(3)));
        assert_eq!(field(&[1, 2]), Some(json!([1, 2])));
    }

    #[test]
    fn fields_can_be_raw_or_removed() {
        let task = NewTask::new("u", "b").field("branch", "nonsense").without("status").without("id");
        assert_eq!(task.claim(&TaskId::from(1)), r#"{"repositoryUrl":"u","branch":nonsense}"#);
    }

    #[test]
    fn uuid_has_version_four() {
        let id = TaskId::uuid();
        let text = id.to_string();
        assert_eq!(text.len(), 36, "{text}");
        assert_eq!(text.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>(), [8, 13, 18, 23]);
        assert_eq!(&text[14..15], "4");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        assert_ne!(id, TaskId::uuid());
    }

    #[test]
    fn parses_array_lines_and_single_object() {
        let one = r#"{"id": 1.50, "repositoryUrl": "u", "branch": "b"}"#;
        for text in [format!("[{one},\n{one}]"), format!("{one}\n\n{one}\n")] {
            let tasks = read_tasks(&text).unwrap();
            assert_eq!(tasks.len(), 2, "{text}");
            // The id keeps its text.
            assert_eq!(tasks[0].chosen_id(), Some(&TaskId::raw("1.50")));
        }
        assert_eq!(read_tasks("{\n\"repositoryUrl\":\"u\",\n\"branch\":\"b\"}").unwrap().len(), 1);
        assert!(read_tasks("").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_place_of_the_task() {
        let error = |text: &str| read_tasks(text).unwrap_err();
        let missing = error(r#"[{"repositoryUrl":"u"}]"#);
        assert!(matches!(&missing, TaskFileError::Missing { place, field: "branch" } if place == "task 1"));
        for (text, expected) in
            [("{\"repositoryUrl\":\"u\",\"branch\":\"b\"}\n{oops", "line 2"), ("[1]", "task 1")]
        {
            assert!(matches!(error(text), TaskFileError::Json { place, .. } if place == expected), "{text}");
        }
    }
}
