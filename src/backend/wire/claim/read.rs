//! Classifies the response to a request for a task.

use super::cut;
use super::fields::{self, Fields};
use crate::task::{Task, TaskId};
use report::{Cause, Fault, Progress};
use text::without_secrets;

/// The backend's response to a request for a task.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// A valid task.
    Task(Task),
    /// No task: 204, an empty body, `UNAVAILABLE`, or a body without any field of a task.
    NoWork,
    /// 404: no task, or a wrong path. The runner logs a warning and is not ready.
    NotFound,
    /// An invalid task, which is answered with this fault.
    Unusable {
        /// The id for the answer.
        id: TaskId,
        /// What is wrong with the task.
        fault: Fault,
    },
    /// Possibly a task, but without an id to answer with. The body is logged completely.
    Unanswerable {
        /// What is wrong with the body, in one line.
        reason: String,
    },
}

/// Classifies a response by its status and body. The client handles refused logins (401, 403) and failures of the backend
/// (5xx) before; here, they are unanswerable.
pub fn claim(status: u16, body: &[u8]) -> Claim {
    match status {
        204 => Claim::NoWork,
        404 => Claim::NotFound,
        200..=299 => claim_from_body(body),
        _ => Claim::Unanswerable { reason: format!("the backend answered {status}") },
    }
}

/// Classifies the body of a successful response, as received or from the spool. Never returns [`Claim::NotFound`].
pub fn claim_from_body(body: &[u8]) -> Claim {
    let text = String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body));
    if matches!(text.trim(), "" | "null") {
        return Claim::NoWork;
    }
    let (mut fields, error) = Fields::parse(&text);
    let broken = error.map(|error| {
        // serde_json quotes parts of the body.
        format!("the response is not a JSON object: {}", without_secrets(&error.to_string()))
    });
    if broken.is_some() {
        // The parsed fields may be truncated, also the id.
        fields.id = cut::id(&text);
    }
    classify(&fields, broken)
}

/// Classifies parsed fields. `broken` is the reason why the body is not a complete JSON object.
fn classify(fields: &Fields, broken: Option<String>) -> Claim {
    let status = fields.status.as_deref().map(|raw| fields::string("status", raw));
    if broken.is_none()
        && let Some(Ok(status)) = &status
        && status.eq_ignore_ascii_case("UNAVAILABLE")
    {
        return Claim::NoWork;
    }
    let Some(id) = &fields.id else {
        return match broken {
            Some(reason) => Claim::Unanswerable { reason },
            None => without_id(fields),
        };
    };
    let id = TaskId::new(id.clone());
    let task = match (broken, status) {
        (Some(broken), _) => Err(broken),
        (None, Some(Err(problem))) => Err(problem),
        (None, _) => fields.task(id.clone()),
    };
    match task {
        Ok(task) => Claim::Task(task),
        Err(problem) => {
            let message = format!("invalid task: {problem}");
            Claim::Unusable { id, fault: Fault::new(Progress::Claim, Cause::Task, message) }
        }
    }
}

/// Classifies an object without an id: no task, unless it has another field of a task.
fn without_id(fields: &Fields) -> Claim {
    let Fields { id: _, status, repository_url, branch, laboratory_number, connected_tests } = fields;
    let named = [
        ("status", status),
        ("repositoryUrl", repository_url),
        ("branch", branch),
        ("laboratoryNumber", laboratory_number),
        ("connectedTests", connected_tests),
    ];
    match named.iter().find_map(|(name, raw)| raw.as_deref().map(|raw| (name, raw))) {
        None => Claim::NoWork,
        Some((name, raw)) => Claim::Unanswerable {
            reason: format!(
                "the response has `{name}` ({}) but no `id` to answer with",
                fields::excerpt(raw)
            ),
        },
    }
}
