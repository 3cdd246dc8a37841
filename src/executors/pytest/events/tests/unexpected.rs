//! Unexpected lines, and more than the limits allow.

use report::junit::{self, JunitError};
use report::{Limits, Verdict};

use super::lines::{FINISH, HELLO, begin, collected, end, judge, read, read_within, start, testcase, whole};
use crate::executors::pytest::events::limits::{MAX_CASES, MAX_LINE};

/// Adds or changes a line in a session that passes: no more tests pass, and a warning describes the line.
#[test]
fn unexpected_lines_never_add_passes() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, u64, Change); 16] = [
        ("a line is not an event", 2, |lines| lines.insert(2, "{".to_owned())),
        ("a line is not an event", 2, |lines| lines.insert(2, r#"{"event":"pass_all"}"#.to_owned())),
        ("a line is too long", 2, |lines| lines.insert(2, " ".repeat(MAX_LINE + 1))),
        ("a second hello came", 2, |lines| lines.insert(5, HELLO.to_owned())),
        ("case 7 began and was never named", 2, |lines| lines.insert(3, start(7))),
        ("case 7 ended and was never named", 2, |lines| lines.insert(3, end(7, "passed", ""))),
        ("case 18446744073709551615 ended", 2, |lines| lines.insert(3, end(u64::MAX, "passed", ""))),
        ("case 1 ended without a beginning", 1, |lines| drop(lines.remove(5))),
        ("case 0 began twice", 2, |lines| lines.insert(4, start(0))),
        ("case 0 ended twice", 1, |lines| lines.insert(5, end(0, "skipped", ""))),
        ("case 0 ended twice", 1, |lines| lines.insert(4, end(0, "failed", ""))),
        ("case 0 ended in an unknown way", 1, |lines| lines[4] = end(0, "Passed", "")),
        ("5 cases were announced and 2 named", 2, |lines| lines[2] = begin(5)),
        ("18446744073709551615 cases were announced", 2, |lines| lines[2] = begin(u64::MAX)),
        ("1 cases were announced and 2 named", 2, |lines| lines[2] = begin(1)),
        ("an event came after the end", 1, |lines| lines.swap(6, 7)),
    ];
    for (warning, passed, change) in changes {
        let mut lines = whole(&["passed", "passed"]);
        change(&mut lines);
        let (report, warnings) = judge(&lines, Err(JunitError::Missing));
        assert_eq!(report.tally.passed, passed, "{warning}: {report:?}");
        assert!(
            warnings[0].starts_with("unexpected events: ") && warnings[0].contains(warning),
            "{warning}: {warnings:?}"
        );
        if warning.contains("announced and 2") || passed < 2 {
            let verdict = report.verdict();
            assert!(verdict != Verdict::Success || warning.starts_with('1'), "{warning}");
        }
    }
}

#[test]
fn endless_list_is_counted_without_passes() {
    let names: Vec<&str> = vec!["t::x"; 5_000];
    let chunk = collected(&names);
    let mut lines = vec![HELLO.to_owned()];
    lines.extend(vec![chunk; MAX_CASES / 5_000 + 1]);
    lines.extend([begin(MAX_CASES as u64 + 5_000), FINISH.to_owned()]);
    let events = read(&lines).unwrap();
    assert_eq!(
        (events.cases.len(), events.total(), events.complete()),
        (MAX_CASES, MAX_CASES + 5_000, false)
    );
    let limits = Limits { max_cases: 10, ..Limits::default() };
    let (report, _) = events.judge(Err(JunitError::Missing), "", &limits);
    assert_eq!((report.cases.len(), report.tally.unlisted), (10, 5_000));
    assert_eq!(
        report.cut.as_deref(),
        Some(
            "249,990 of 250,000 cases left out, those that passed first; 5,000 more cases of which nothing is known"
        )
    );
}

#[test]
fn limits_keep_failed_cases_first() {
    let limits = Limits { max_cases: 2, max_description: 100, ..Limits::default() };
    let mut lines = whole(&["passed", "passed", "failed", "passed"]);
    lines[8] = end(2, "failed", &"x".repeat(10_000));
    let (report, _) = read_within(&lines, &limits).unwrap().judge(Err(JunitError::Missing), "", &limits);
    let names: Vec<&str> = report.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!((names, report.tally.passed, report.tally.failed), (vec!["t::0", "t::2"], 3, 1));
    assert!(report.cases[1].description.len() <= 100 && report.cases[1].description.contains("bytes cut"));
}

#[test]
fn report_file_may_omit_cases() {
    let limits = Limits { max_cases: 1, ..Limits::default() };
    let file = format!("<testsuite>{}{}</testsuite>", testcase("0", ""), testcase("1", ""));
    let junit = junit::read(file.as_bytes(), &limits);
    let (report, warnings) = judge(&whole(&["passed", "passed"]), junit);
    assert_eq!((report.tally.passed, report.verdict()), (2, Verdict::Success));
    assert_eq!(
        warnings,
        ["the suite's report is incomplete: 1 of 2 cases left out, those that passed first"]
    );
}
