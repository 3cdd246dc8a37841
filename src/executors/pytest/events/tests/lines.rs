//! Lines of the plugin and report files, for the tests.

use report::junit::{self, JunitError};
use report::{Limits, Outcome, Report};
use serde_json::json;

use crate::executors::pytest::events::message::Line;
use crate::executors::pytest::events::record::Events;

pub(super) const HELLO: &str = r#"{"event":"hello","version":1,"pytest":"9.0.0","pid":7}"#;
pub(super) const FINISH: &str = r#"{"event":"finish","exit":0}"#;

pub(super) fn read(lines: &[String]) -> Option<Events> {
    read_within(lines, &Limits::default())
}

pub(super) fn read_within(lines: &[String], limits: &Limits) -> Option<Events> {
    let lines = lines.iter().map(|text| Line { text, ..Line::default() });
    Events::read(lines, limits)
}

pub(super) fn collected(cases: &[&str]) -> String {
    json!({"event": "collected", "cases": cases}).to_string()
}

pub(super) fn begin(count: u64) -> String {
    json!({"event": "begin", "count": count}).to_string()
}

pub(super) fn start(case: u64) -> String {
    json!({"event": "start", "case": case}).to_string()
}

pub(super) fn end(case: u64, outcome: &str, description: &str) -> String {
    json!({"event": "end", "case": case, "outcome": outcome, "duration": 0.25, "description": description})
        .to_string()
}

/// The lines of a session of cases `t::0`, `t::1`, … with these outcomes. A case with an empty outcome starts and does not end; one
/// with `-` does not start.
pub(super) fn session(outcomes: &[&str]) -> Vec<String> {
    let names: Vec<String> = (0..outcomes.len()).map(|case| format!("tests.t::{case}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lines = vec![HELLO.to_owned(), collected(&names), begin(names.len() as u64)];
    for (case, outcome) in (0..).zip(outcomes) {
        if *outcome != "-" {
            lines.push(start(case));
        }
        if !matches!(*outcome, "-" | "") {
            lines.push(end(case, outcome, if *outcome == "passed" { "" } else { "as sent" }));
        }
    }
    lines
}

/// The lines of a session that ends.
pub(super) fn whole(outcomes: &[&str]) -> Vec<String> {
    let mut lines = session(outcomes);
    lines.push(FINISH.to_owned());
    lines
}

pub(super) fn judge(lines: &[String], junit: Result<Report, JunitError>) -> (Report, Vec<String>) {
    read(lines).unwrap().judge(junit, "the suite was killed", &Limits::default())
}

pub(super) fn report_file(cases: &str) -> Result<Report, JunitError> {
    junit::read(format!("<testsuite time='3'>{cases}</testsuite>").as_bytes(), &Limits::default())
}

pub(super) fn testcase(name: &str, inner: &str) -> String {
    format!("<testcase classname='tests.t' name='{name}' time='0.5'>{inner}</testcase>")
}

pub(super) fn outcomes(report: &Report) -> Vec<(&str, Outcome, &str)> {
    report.cases.iter().map(|case| (case.name.as_str(), case.outcome, case.description.as_str())).collect()
}
