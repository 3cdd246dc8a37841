//! Reads the body of a result as the backend does: what is no result at all is a 400, what its storage refuses
//! is a 500. Whether a body that is accepted also holds to the contract is asked in `strict`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json_text::{Unstorable, decodable, unstorable};
use crate::settings::Limits;
use crate::strict;
use crate::task::TaskId;

/// A result as it was posted, without its `id`. A lone surrogate in a text is shown as U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult {
    /// Whether the task counts as passed.
    pub is_passed: bool,
    /// Milliseconds.
    pub duration: i64,
    /// One for each test case, in the order of the report.
    pub test_results: Vec<CaseResult>,
    /// Whether the run itself went wrong.
    pub is_error: bool,
    /// What went wrong.
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
    /// Empty when passed.
    pub description: String,
    /// Megabytes.
    pub memory_used: i64,
    /// Milliseconds.
    pub duration: i64,
}

/// An answer other than 200, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) why: String,
}

/// A body that is a result.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The id, as it is written in the body.
    pub(crate) id: TaskId,
    /// The result.
    pub(crate) result: TaskResult,
    /// Where the body does not hold to the contract.
    pub(crate) violations: Vec<String>,
    unstorable: Option<String>,
}

impl Reading {
    /// Reads a body; anything that is no result is a 400.
    pub(crate) fn of(body: &[u8]) -> Result<Self, Refused> {
        let refuse = |why: String| Refused { status: 400, why };
        let text =
            std::str::from_utf8(body).map_err(|cause| refuse(format!("the body is no UTF-8: {cause}")))?;
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)
            .map_err(|cause| refuse(format!("the body is no JSON object: {cause}")))?;
        let id = fields.get("id").map(|id| id.get()).filter(|id| *id != "null");
        let id = TaskId::raw(id.ok_or_else(|| refuse("the field `id` is missing".into()))?);
        let result: TaskResult = serde_json::from_str(&decodable(text))
            .map_err(|cause| refuse(format!("the body is no result: {cause}")))?;
        let violations = strict::violations(&fields, &result);
        Ok(Self { id, result, violations, unstorable: unstorable_field(&fields) })
    }

    /// Whether the storage takes it; what it does not take is a 500, as often as it is sent.
    pub(crate) fn check_storage(&self, limits: &Limits) -> Result<(), Refused> {
        let refuse = |why: String| Err(Refused { status: 500, why });
        let length = self.result.error_details.chars().count();
        if length > limits.error_details {
            let most = limits.error_details;
            return refuse(format!(
                "errorDetails: value too long for type character varying({most}): {length}"
            ));
        }
        self.unstorable.clone().map_or(Ok(()), refuse)
    }
}

fn unstorable_field(fields: &BTreeMap<String, &RawValue>) -> Option<String> {
    ["testResults", "errorDetails"].into_iter().find_map(|field| {
        let why = match unstorable(fields.get(field)?.get())? {
            Unstorable::Nul => r"\u0000 cannot be converted to text",
            Unstorable::LoneSurrogate => "a Unicode surrogate stands alone",
        };
        Some(format!("{field}: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "id": "a-1", "isPassed": true, "duration": 12, "isError": false, "errorDetails": "",
            "testResults": [
                {"name": "t::a", "isPassed": true, "description": "", "memoryUsed": 3, "duration": 4},
            ],
        })
    }

    fn refusal(body: &str) -> Refused {
        match Reading::of(body.as_bytes()) {
            Err(refused) => refused,
            Ok(reading) => reading.check_storage(&Limits::default()).unwrap_err(),
        }
    }

    #[test]
    fn a_good_result_is_read_and_its_id_kept_as_written() {
        let body = good().to_string().replace(r#""a-1""#, "1.50");
        let reading = Reading::of(body.as_bytes()).unwrap();
        assert_eq!(reading.id, TaskId::raw("1.50"));
        assert_eq!(reading.result.test_results[0].memory_used, 3);
        assert_eq!(reading.violations, Vec::<String>::new());
        assert!(reading.check_storage(&Limits::default()).is_ok());
    }

    #[test]
    fn every_missing_field_null_and_wrong_type_is_a_400() {
        let mut bodies = vec![String::new(), "[]".into(), "{".into(), "null".into()];
        for field in ["id", "isPassed", "duration", "isError", "errorDetails", "testResults"] {
            let mut missing = good();
            missing.as_object_mut().unwrap().remove(field);
            let mut null = good();
            null[field] = Value::Null;
            bodies.extend([missing.to_string(), null.to_string()]);
        }
        for field in ["name", "isPassed", "description", "memoryUsed", "duration"] {
            let mut missing = good();
            missing["testResults"][0].as_object_mut().unwrap().remove(field);
            let mut wrong = good();
            wrong["testResults"][0][field] = json!([1]);
            bodies.extend([missing.to_string(), wrong.to_string()]);
        }
        let mut fraction = good();
        fraction["duration"] = json!(1.5);
        bodies.push(fraction.to_string());
        for body in bodies {
            assert_eq!(refusal(&body).status, 400, "{body}");
        }
        assert_eq!(Reading::of(b"\xff").unwrap_err().status, 400);
    }

    #[test]
    fn error_details_are_counted_in_characters() {
        let mut body = good();
        body["errorDetails"] = json!("ж".repeat(255));
        assert!(Reading::of(body.to_string().as_bytes()).unwrap().check_storage(&Limits::default()).is_ok());
        body["errorDetails"] = json!("ж".repeat(256));
        assert_eq!(refusal(&body.to_string()).status, 500);
    }

    #[test]
    fn nul_and_lone_surrogates_are_a_500_where_they_are_stored() {
        for escape in [r"\u0000", r"\ud800", r"\udfff"] {
            let body = good().to_string();
            assert_eq!(refusal(&body.replace("t::a", escape)).status, 500, "{escape}");
            let details = body.replace(r#""errorDetails":"""#, &format!(r#""errorDetails":"{escape}""#));
            assert_eq!(refusal(&details).status, 500, "{escape}");
            // In an id nothing is stored: the id is unknown, or it is one that a test chose.
            assert!(Reading::of(body.replace("a-1", escape).as_bytes()).is_ok(), "{escape}");
        }
    }
}
