//! The strict check: finds contract violations in results that the deployed backend accepts.
//! A violation does not change the response; tests read the recorded violations.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use crate::result::{CaseResult, TaskResult};

const FIELDS: [&str; 6] = ["id", "isPassed", "duration", "testResults", "isError", "errorDetails"];
const CASE_FIELDS: [&str; 5] = ["name", "isPassed", "description", "memoryUsed", "duration"];

/// Returns a description of each violation in a result.
pub(crate) fn violations(fields: &BTreeMap<String, &RawValue>, result: &TaskResult) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |violated: bool, description: &str| {
        if violated {
            found.push(description.to_owned());
        }
    };
    let cases = &result.test_results;
    check(result.is_passed && result.is_error, "isPassed and isError are both true");
    check(result.is_passed && cases.is_empty(), "isPassed is true without test cases");
    check(
        result.is_passed && cases.iter().any(|case| !case.is_passed),
        "isPassed is true although a case failed",
    );
    check(result.duration < 0, "duration is negative");
    check(has_control_character(&result.error_details), "errorDetails has a control character");
    check(
        result.is_error && cases.is_empty() && result.error_details.trim().is_empty(),
        "isError is true without errorDetails and without test cases",
    );
    for name in fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
        check(true, &format!("unknown field `{name}`"));
    }
    for name in unknown_case_fields(fields) {
        check(true, &format!("unknown field `testResults[].{name}`"));
    }
    for (index, case) in cases.iter().enumerate() {
        for description in case_violations(case) {
            check(true, &format!("testResults[{index}] ({}): {description}", case.name));
        }
    }
    found
}

fn case_violations(case: &CaseResult) -> impl Iterator<Item = &'static str> {
    [
        (case.is_passed && !case.description.is_empty(), "passed but has a description"),
        (case.duration < 0, "duration is negative"),
        (case.memory_used < 0, "memoryUsed is negative"),
        (has_control_character(&case.name), "name has a control character"),
        (has_control_character(&case.description), "description has a control character"),
    ]
    .into_iter()
    .filter_map(|(violated, description)| violated.then_some(description))
}

fn unknown_case_fields(fields: &BTreeMap<String, &RawValue>) -> BTreeSet<String> {
    let cases: Option<Vec<BTreeMap<String, &RawValue>>> =
        fields.get("testResults").and_then(|cases| serde_json::from_str(cases.get()).ok());
    let names = cases.into_iter().flatten().flat_map(BTreeMap::into_keys);
    names.filter(|name| !CASE_FIELDS.contains(&name.as_str())).collect()
}

/// Whether the text contains a control character other than tab, line feed and carriage return.
fn has_control_character(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn found(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut body = json!({
            "id": 1, "isPassed": true, "duration": 12, "isError": false, "errorDetails": "",
            "testResults": [
                {"name": "t::a", "isPassed": true, "description": "", "memoryUsed": 3, "duration": 4},
            ],
        });
        change(&mut body);
        let text = body.to_string();
        violations(&serde_json::from_str(&text).unwrap(), &serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn valid_results_have_no_violations() {
        let nothing = Vec::<String>::new();
        assert_eq!(found(|_| ()), nothing);
        assert_eq!(found(|body| body["errorDetails"] = json!("3 cases were left out")), nothing);
        assert_eq!(
            found(|body| body["testResults"][0]["isPassed"] = json!(false))[0],
            "isPassed is true although a case failed"
        );
        let failed = |body: &mut Value| {
            body["isPassed"] = json!(false);
            body["testResults"][0]["isPassed"] = json!(false);
            body["testResults"][0]["description"] = json!("assert 1 == 2\n\tE   1");
        };
        assert_eq!(found(failed), nothing);
        let error = |body: &mut Value| {
            body["isPassed"] = json!(false);
            body["isError"] = json!(true);
            body["errorDetails"] = json!("no such branch");
            body["testResults"] = json!([]);
        };
        assert_eq!(found(error), nothing);
    }

    #[test]
    fn reports_each_violation() {
        let one = |expected: &str, change: fn(&mut Value)| assert_eq!(found(change), [expected]);
        one("isPassed and isError are both true", |body| body["isError"] = json!(true));
        one("isPassed is true without test cases", |body| body["testResults"] = json!([]));
        one("duration is negative", |body| body["duration"] = json!(-1));
        one("errorDetails has a control character", |body| body["errorDetails"] = json!("\u{1b}[31m"));
        one("unknown field `extra`", |body| body["extra"] = json!(1));
        one("unknown field `testResults[].extra`", |body| body["testResults"][0]["extra"] = json!(1));
        one("testResults[0] (t::a): passed but has a description", |body| {
            body["testResults"][0]["description"] = json!("why?");
        });
        one("testResults[0] (t::a): duration is negative", |body| {
            body["testResults"][0]["duration"] = json!(-4);
        });
        one("testResults[0] (t::a): memoryUsed is negative", |body| {
            body["testResults"][0]["memoryUsed"] = json!(-1);
        });
        one("isError is true without errorDetails and without test cases", |body| {
            body["isPassed"] = json!(false);
            body["isError"] = json!(true);
            body["testResults"] = json!([]);
        });
    }
}
