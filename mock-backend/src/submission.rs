//! Reads the body of a result request as the deployed backend does: a body that is not a result is answered with 400, one
//! that the storage rejects with 500. `strict` checks whether an accepted body also follows the contract.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::json_text::{Unstorable, first_unstorable, replace_lone_surrogates};
use crate::result::TaskResult;
use crate::settings::Limits;
use crate::strict;
use crate::task::TaskId;

/// A rejected body: the status of the response (400, 413 or 500) and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: u16,
    pub(crate) reason: String,
}

/// A parsed result body.
#[derive(Debug)]
pub(crate) struct Submission {
    /// The id, as it is written in the body.
    pub(crate) id: TaskId,
    /// The result.
    pub(crate) result: TaskResult,
    /// Violations of the contract that do not change the response.
    pub(crate) violations: Vec<String>,
    storage_error: Option<String>,
}

impl Submission {
    /// Parses the body of a result request.
    ///
    /// # Errors
    /// Returns a rejection with status 400 if the body is not UTF-8, not a JSON object, has no id, lacks a field or has a
    /// field of the wrong type.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Rejection> {
        let reject = |reason: String| Rejection { status: 400, reason };
        let text =
            std::str::from_utf8(body).map_err(|cause| reject(format!("the body is not UTF-8: {cause}")))?;
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)
            .map_err(|cause| reject(format!("the body is not a JSON object: {cause}")))?;
        let id = fields.get("id").map(|id| id.get()).filter(|id| *id != "null");
        let id = TaskId::raw(id.ok_or_else(|| reject("the field `id` is missing".into()))?);
        let result: TaskResult = serde_json::from_str(&replace_lone_surrogates(text))
            .map_err(|cause| reject(format!("the body is not a result: {cause}")))?;
        let violations = strict::violations(&fields, &result);
        Ok(Self { id, result, violations, storage_error: storage_error(&fields) })
    }

    /// Checks whether the storage of the deployed backend accepts the result.
    ///
    /// # Errors
    /// Returns a rejection with status 500 if `errorDetails` is longer than the limit, or if a stored text contains U+0000
    /// or a lone surrogate. The same body is rejected every time it is sent.
    pub(crate) fn check_storage(&self, limits: &Limits) -> Result<(), Rejection> {
        let reject = |reason: String| Err(Rejection { status: 500, reason });
        let (length, limit) = (self.result.error_details.chars().count(), limits.error_details);
        if length > limit {
            return reject(format!(
                "errorDetails: value too long for type character varying({limit}): {length}"
            ));
        }
        self.storage_error.clone().map_or(Ok(()), reject)
    }
}

/// The reason why PostgreSQL rejects a field that is stored, if it does.
fn storage_error(fields: &BTreeMap<String, &RawValue>) -> Option<String> {
    ["testResults", "errorDetails"].into_iter().find_map(|field| {
        let reason = match first_unstorable(fields.get(field)?.get())? {
            Unstorable::Nul => r"\u0000 cannot be converted to text",
            Unstorable::LoneSurrogate => "lone Unicode surrogate",
        };
        Some(format!("{field}: {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn valid() -> Value {
        json!({
            "id": "a-1", "isPassed": true, "duration": 12, "isError": false, "errorDetails": "",
            "testResults": [
                {"name": "t::a", "isPassed": true, "description": "", "memoryUsed": 3, "duration": 4},
            ],
        })
    }

    fn rejection(body: &str) -> Rejection {
        match Submission::parse(body.as_bytes()) {
            Err(rejection) => rejection,
            Ok(submission) => submission.check_storage(&Limits::default()).unwrap_err(),
        }
    }

    #[test]
    fn parses_result_and_keeps_id_text() {
        let body = valid().to_string().replace(r#""a-1""#, "1.50");
        let submission = Submission::parse(body.as_bytes()).unwrap();
        assert_eq!(submission.id, TaskId::raw("1.50"));
        assert_eq!(submission.result.test_results[0].memory_used, 3);
        assert_eq!(submission.violations, Vec::<String>::new());
        assert!(submission.check_storage(&Limits::default()).is_ok());
    }

    #[test]
    fn rejects_missing_null_and_mistyped_fields_with_400() {
        let mut bodies = vec![String::new(), "[]".into(), "{".into(), "null".into()];
        for field in ["id", "isPassed", "duration", "isError", "errorDetails", "testResults"] {
            let mut missing = valid();
            missing.as_object_mut().unwrap().remove(field);
            let mut null = valid();
            null[field] = Value::Null;
            bodies.extend([missing.to_string(), null.to_string()]);
        }
        for field in ["name", "isPassed", "description", "memoryUsed", "duration"] {
            let mut missing = valid();
            missing["testResults"][0].as_object_mut().unwrap().remove(field);
            let mut wrong = valid();
            wrong["testResults"][0][field] = json!([1]);
            bodies.extend([missing.to_string(), wrong.to_string()]);
        }
        let mut fraction = valid();
        fraction["duration"] = json!(1.5);
        bodies.push(fraction.to_string());
        for body in bodies {
            assert_eq!(rejection(&body).status, 400, "{body}");
        }
        assert_eq!(Submission::parse(b"\xff").unwrap_err().status, 400);
    }

    #[test]
    fn counts_error_details_in_characters() {
        let mut body = valid();
        body["errorDetails"] = json!("ж".repeat(255));
        assert!(
            Submission::parse(body.to_string().as_bytes()).unwrap().check_storage(&Limits::default()).is_ok()
        );
        body["errorDetails"] = json!("ж".repeat(256));
        assert_eq!(rejection(&body.to_string()).status, 500);
    }

    #[test]
    fn rejects_nul_and_lone_surrogates_in_stored_fields() {
        for escape in [r"\u0000", r"\ud800", r"\udfff"] {
            let body = valid().to_string();
            assert_eq!(rejection(&body.replace("t::a", escape)).status, 500, "{escape}");
            let details = body.replace(r#""errorDetails":"""#, &format!(r#""errorDetails":"{escape}""#));
            assert_eq!(rejection(&details).status, 500, "{escape}");
            // Accepted in an id, which is compared but not stored.
            assert!(Submission::parse(body.replace("a-1", escape).as_bytes()).is_ok(), "{escape}");
        }
    }
}
