//! Reduces the body of a result that the backend rejected as too large.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use text::{head_and_tail, shorten, thousands};

/// Descriptions are shortened to at least this many bytes; then cases are omitted.
const MIN_DESCRIPTION: usize = 200;

/// Maximum characters of the error details in the deployed backend.
const MAX_DETAILS: usize = 255;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    id: Box<RawValue>,
    is_passed: bool,
    duration: u64,
    test_results: Vec<Test>,
    is_error: bool,
    error_details: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    is_passed: bool,
    description: String,
    memory_used: u64,
    duration: u64,
    name: String,
}

/// Returns a smaller body of the same result: with descriptions of at most a quarter, or, if they are short already, with
/// half of the cases, where passed ones are omitted first. `None`: it cannot be smaller.
pub fn shrink(body: &[u8]) -> Option<Vec<u8>> {
    let mut body: Body = serde_json::from_slice(body).ok()?;
    let longest = body.test_results.iter().map(|test| test.description.len()).max()?;
    if longest > MIN_DESCRIPTION {
        let cap = (longest / 4).max(MIN_DESCRIPTION);
        for test in &mut body.test_results {
            test.description = head_and_tail(&test.description, cap).into_owned();
        }
    } else {
        omit_half(&mut body);
    }
    serde_json::to_vec(&body).ok()
}

/// Omits half of the cases, passed ones first, and adds a note.
fn omit_half(body: &mut Body) {
    let all = body.test_results.len();
    let mut excess = all - all / 2;
    let passed = body.test_results.iter().filter(|test| test.is_passed).count();
    // Cases are omitted from the end.
    let mut keep_passed = passed.saturating_sub(excess);
    excess = excess.saturating_sub(passed);
    body.test_results.retain(|test| {
        if test.is_passed && keep_passed == 0 {
            return false;
        }
        keep_passed -= usize::from(test.is_passed);
        true
    });
    body.test_results.truncate(body.test_results.len() - excess);
    let left_out = thousands((all - body.test_results.len()) as u64);
    let note = format!(
        "{left_out} cases left out, since the backend takes no larger result; {}",
        body.error_details
    );
    body.error_details = shorten(note.trim_end_matches("; "), MAX_DETAILS).into_owned();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(cases: usize, description: usize) -> Vec<u8> {
        let test = |i: usize| Test {
            is_passed: !i.is_multiple_of(4),
            description: if i.is_multiple_of(4) { "x".repeat(description) } else { String::new() },
            memory_used: 0,
            duration: 1,
            name: format!("t{i}"),
        };
        let body = Body {
            id: RawValue::from_string("1.0".to_owned()).unwrap(),
            is_passed: false,
            duration: 2,
            test_results: (0..cases).map(test).collect(),
            is_error: false,
            error_details: String::new(),
        };
        serde_json::to_vec(&body).unwrap()
    }

    #[test]
    fn shrinks_to_nothing_keeping_failures_longest() {
        let mut now = body(40, 10_000);
        let mut sizes = vec![now.len()];
        while let Some(smaller) = shrink(&now) {
            assert!(smaller.len() < now.len() || smaller.len() < 400, "{sizes:?}");
            let read: serde_json::Value = serde_json::from_slice(&smaller).unwrap();
            assert!(String::from_utf8_lossy(&smaller).contains(r#""id":1.0"#));
            assert!(read["errorDetails"].as_str().unwrap().chars().count() <= MAX_DETAILS);
            if read["testResults"].as_array().unwrap().len() == 20 {
                let failed =
                    read["testResults"].as_array().unwrap().iter().filter(|test| test["isPassed"] == false);
                assert_eq!(failed.count(), 10, "a case that failed went before one that passed");
            }
            sizes.push(smaller.len());
            now = smaller;
        }
        assert!(sizes.len() > 6, "{sizes:?}");
        assert!(serde_json::from_slice::<Body>(&now).unwrap().test_results.is_empty());
    }
}
