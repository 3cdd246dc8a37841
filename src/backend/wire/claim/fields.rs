//! The fields of a claim.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::task::{Task, TaskId};
use text::{one_line, shorten, without_secrets};

/// The unparsed fields of a claim. `null` counts as absent; of several fields with one name the last one counts.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) id: Option<Box<RawValue>>,
    pub(super) status: Option<Box<RawValue>>,
    pub(super) repository_url: Option<Box<RawValue>>,
    pub(super) branch: Option<Box<RawValue>>,
    pub(super) laboratory_number: Option<Box<RawValue>>,
    pub(super) connected_tests: Option<Box<RawValue>>,
}

impl Fields {
    /// Parses the fields of the object `text`. If there is an error, the fields before it are returned too.
    pub(super) fn parse(text: &str) -> (Self, Option<serde_json::Error>) {
        let mut fields = Self::default();
        let mut json = serde_json::Deserializer::from_str(text);
        let result = json.deserialize_map(Collector(&mut fields)).and_then(|()| json.end());
        (fields, result.err())
    }

    /// Builds the task. The error states which field is invalid.
    pub(super) fn task(&self, id: TaskId) -> Result<Task, String> {
        Ok(Task {
            id,
            repository_url: required("repositoryUrl", self.repository_url.as_deref())?,
            branch: Some(required("branch", self.branch.as_deref())?),
            laboratories: self.laboratory_number.as_deref().map_or(Ok(Vec::new()), laboratories)?,
            tests: self.connected_tests.as_deref().map_or(Ok(Vec::new()), tests)?,
        })
    }

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

/// Collects the fields of an object while it is parsed.
struct Collector<'a>(&'a mut Fields);

impl<'de> Visitor<'de> for Collector<'_> {
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

/// Parses a required string that must not be blank.
fn required(name: &str, raw: Option<&RawValue>) -> Result<String, String> {
    let text = string(name, raw.ok_or_else(|| format!("`{name}` is missing"))?)?;
    if text.trim().is_empty() { Err(format!("`{name}` is empty")) } else { Ok(text) }
}

/// Parses a string.
pub(super) fn string(name: &str, raw: &RawValue) -> Result<String, String> {
    serde_json::from_str(raw.get()).map_err(|_| unexpected(name, raw, "a string"))
}

/// Parses one laboratory number or a list of them.
fn laboratories(raw: &RawValue) -> Result<Vec<u32>, String> {
    let error = || unexpected("laboratoryNumber", raw, "a whole number or a list of whole numbers");
    let value = serde_json::from_str(raw.get()).map_err(|_| error())?;
    let list = match value {
        serde_json::Value::Array(list) => list,
        single => vec![single],
    };
    list.iter().filter(|value| !value.is_null()).map(|value| laboratory(value).ok_or_else(error)).collect()
}

/// Parses a laboratory number: `1`; `1.0` and `"1"` are accepted too.
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

/// Parses the names of tests; ignores blank ones.
fn tests(raw: &RawValue) -> Result<Vec<String>, String> {
    let names: Vec<Option<String>> = serde_json::from_str(raw.get())
        .map_err(|_| unexpected("connectedTests", raw, "a list of strings"))?;
    Ok(names.into_iter().flatten().filter(|name| !name.trim().is_empty()).collect())
}

/// The message for a field of another type.
fn unexpected(name: &str, raw: &RawValue, expected: &str) -> String {
    format!("`{name}` is {}, expected {expected}", excerpt(raw))
}

/// Shortens a value for a message. Secrets are removed first, because a truncated URL is not recognized as one.
pub(super) fn excerpt(raw: &RawValue) -> String {
    shorten(&without_secrets(&one_line(raw.get())), 80).into_owned()
}
