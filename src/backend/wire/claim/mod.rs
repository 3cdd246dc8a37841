//! `GET /api/task/available`: the answer is work, no work, or something that must not be dropped in silence.

mod cut;

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::task::{Task, TaskId};
use report::{Cause, Fault, Progress};
use text::{one_line, shorten, without_secrets};

/// What the backend answered to the question for work.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// A task that can be run.
    Task(Task),
    /// Nothing to do: 204, an empty body, `UNAVAILABLE`, or a body that names no task.
    NoWork,
    /// 404: taken as no work, but a wrong path looks the same, so it deserves a warning and the runner is not ready.
    NotFound,
    /// A task that cannot be run as it stands; it is answered with this fault.
    Unusable {
        /// Where the answer goes.
        id: TaskId,
        /// What is wrong with the task.
        fault: Fault,
    },
    /// Perhaps a task, but without an id to answer under: the body is to be logged in full.
    Unanswerable {
        /// What is wrong with the body, in one line.
        reason: String,
    },
}

/// The fields of a claim as they came. `null` is absent, and of two fields with one name the last one counts.
#[derive(Debug, Default)]
struct Fields {
    id: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
    repository_url: Option<Box<RawValue>>,
    branch: Option<Box<RawValue>>,
    laboratory_number: Option<Box<RawValue>>,
    connected_tests: Option<Box<RawValue>>,
}

impl Fields {
    fn field(&mut self, key: &str) -> Option<&mut Option<Box<RawValue>>> {
        Some(match key {
            "id" => &mut self.id,
            "status" => &mut self.status,
            "repositoryUrl" => &mut self.repository_url,
            "branch" => &mut self.branch,
            "laboratoryNumber" => &mut self.laboratory_number,
            "connectedTests" => &mut self.connected_tests,
            _ => return None,
        })
    }
}

/// Fills the fields it was made for.
struct Filler<'a>(&'a mut Fields);

impl<'de> Visitor<'de> for Filler<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.0.field(&key) {
                Some(field) => {
                    let value: Box<RawValue> = map.next_value()?;
                    *field = (value.get() != "null").then_some(value);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads the answer to a question for work. Refused logins (401, 403) and the backend's own failures (5xx) are
/// the client's business; should one come here, it is unanswerable.
pub fn claim(status: u16, body: &[u8]) -> Claim {
    match status {
        204 => return Claim::NoWork,
        404 => return Claim::NotFound,
        200..=299 => {}
        _ => return Claim::Unanswerable { reason: format!("the backend answered {status}") },
    }
    let text = String::from_utf8_lossy(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body));
    if matches!(text.trim(), "" | "null") {
        return Claim::NoWork;
    }
    let mut fields = Fields::default();
    let mut json = serde_json::Deserializer::from_str(&text);
    let read = json.deserialize_map(Filler(&mut fields)).and_then(|()| json.end());
    let broken = read.err().map(|error| {
        // It quotes what it has met.
        let error = error.to_string();
        format!("the answer is no JSON object: {}", without_secrets(&error))
    });
    if broken.is_some() {
        // What was read of it may end anywhere, the id too.
        fields.id = cut::id(&text);
    }
    judge(&fields, broken)
}

fn judge(fields: &Fields, broken: Option<String>) -> Claim {
    let status = fields.status.as_deref().map(|raw| text_of("status", raw));
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
        (None, Some(Err(wrong))) => Err(wrong),
        (None, _) => task(id.clone(), fields),
    };
    match task {
        Ok(task) => Claim::Task(task),
        Err(wrong) => {
            let message = format!("the task cannot be run: {wrong}");
            Claim::Unusable { id, fault: Fault::new(Progress::Claim, Cause::Task, message) }
        }
    }
}

/// An object without an id is no work as long as it does not look like work.
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
            reason: format!("the answer has `{name}` ({}) but no `id` to answer under", show(raw)),
        },
    }
}

fn task(id: TaskId, fields: &Fields) -> Result<Task, String> {
    Ok(Task {
        id,
        repository_url: required("repositoryUrl", fields.repository_url.as_deref())?,
        branch: Some(required("branch", fields.branch.as_deref())?),
        laboratories: fields.laboratory_number.as_deref().map_or(Ok(Vec::new()), laboratories)?,
        tests: fields.connected_tests.as_deref().map_or(Ok(Vec::new()), tests)?,
    })
}

fn required(name: &str, raw: Option<&RawValue>) -> Result<String, String> {
    let text = text_of(name, raw.ok_or_else(|| format!("`{name}` is missing"))?)?;
    if text.trim().is_empty() { Err(format!("`{name}` is empty")) } else { Ok(text) }
}

fn text_of(name: &str, raw: &RawValue) -> Result<String, String> {
    serde_json::from_str(raw.get()).map_err(|_| wrong(name, raw, "a string"))
}

fn laboratories(raw: &RawValue) -> Result<Vec<u32>, String> {
    let wrong = || wrong("laboratoryNumber", raw, "a whole number or a list of whole numbers");
    let value = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
    let list = match value {
        serde_json::Value::Array(list) => list,
        single => vec![single],
    };
    list.iter().filter(|value| !value.is_null()).map(|value| laboratory(value).ok_or_else(wrong)).collect()
}

/// A laboratory's number: `1`, and leniently `1.0` and `"1"`.
fn laboratory(value: &serde_json::Value) -> Option<u32> {
    match value {
        serde_json::Value::String(digits) => {
            let digits = digits.trim();
            digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        }
        serde_json::Value::Number(number) => match number.as_u64() {
            Some(number) => u32::try_from(number).ok(),
            None => number.as_f64().filter(|f| f.fract() == 0.0).and_then(|f| format!("{f:.0}").parse().ok()),
        },
        _ => None,
    }
}

/// Names of tests; blank ones name nothing.
fn tests(raw: &RawValue) -> Result<Vec<String>, String> {
    let names: Vec<Option<String>> =
        serde_json::from_str(raw.get()).map_err(|_| wrong("connectedTests", raw, "a list of strings"))?;
    Ok(names.into_iter().flatten().filter(|name| !name.trim().is_empty()).collect())
}

fn wrong(name: &str, raw: &RawValue, taken: &str) -> String {
    format!("`{name}` is {}, expected {taken}", show(raw))
}

/// A value for messages. What could be a secret goes before anything is cut: half a URL does not look like one.
fn show(raw: &RawValue) -> String {
    shorten(&without_secrets(&one_line(raw.get())), 80).into_owned()
}

#[cfg(test)]
mod tests;
