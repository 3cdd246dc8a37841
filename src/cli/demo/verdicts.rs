//! The table of verdicts at the end of the demo.

use std::io::{self, Write};

use mock_backend::{MockBackend, StoredResult, TaskId};

use super::samples::Student;

/// Prints the table at the end. Returns whether every verdict is the expected one.
pub(super) fn print(
    backend: &MockBackend,
    tasks: &[(TaskId, &Student)],
    results: &[StoredResult],
    out: &mut impl Write,
) -> io::Result<bool> {
    writeln!(
        out,
        "\n{:<16} {:<10} {:<10} {:<9} what the student reads",
        "repository", "expected", "verdict", "passed"
    )?;
    let mut all_expected = true;
    for (id, student) in tasks {
        let Some(stored) = results.iter().find(|stored| stored.id == *id) else { continue };
        let result = &stored.result;
        let verdict = backend.status_of(id).map(|status| status.to_string()).unwrap_or_default();
        let cases = &result.test_results;
        let first = cases.iter().find(|case| !case.is_passed).map(|case| case.description.as_str());
        let words = Some(result.error_details.as_str())
            .filter(|words| !words.is_empty())
            .or(first)
            .unwrap_or_default();
        let words: String = words.lines().next().unwrap_or_default().chars().take(70).collect();
        let passed = format!("{} of {}", cases.iter().filter(|case| case.is_passed).count(), cases.len());
        writeln!(out, "{:<16} {:<10} {verdict:<10} {passed:<9} {words}", student.name, student.expected)?;
        all_expected &= verdict == student.expected;
    }
    writeln!(
        out,
        "\n{}",
        if all_expected {
            "Every verdict is what it should be."
        } else {
            "A verdict is not what it should be."
        }
    )?;
    Ok(all_expected)
}
