use std::time::Duration;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::cases::millis;
use super::{is_receipt, result_body};
use crate::task::TaskId;
use report::{Case, Cause, Fault, Limits, Outcome, Progress, Report, Tally, Verdict};

fn id(raw: &str) -> TaskId {
    TaskId::new(RawValue::from_string(raw.to_owned()).unwrap())
}

fn case(name: &str, outcome: Outcome, description: &str) -> Case {
    let (name, description) = (name.to_owned(), description.to_owned());
    Case { name, outcome, description, duration: Duration::from_micros(1_500), memory: None }
}

fn report(cases: Vec<Case>) -> Report {
    let mut tally = Tally::default();
    for case in &cases {
        tally.count(case.outcome);
    }
    Report { cases, tally, duration: Duration::from_secs(2), ..Report::default() }
}

fn body(report: &Report, limits: &Limits) -> serde_json::Value {
    let bytes = result_body(&id("1"), report, limits);
    assert!(bytes.len() as u64 <= limits.max_body, "{} of {}", bytes.len(), limits.max_body);
    serde_json::from_slice(&bytes).unwrap()
}

fn details(report: &Report) -> String {
    body(report, &Limits::default())["errorDetails"].as_str().unwrap().to_owned()
}

#[test]
fn body_keeps_field_order_and_raw_id() {
    let mut report = report(vec![case("a::b", Outcome::Failed, "E   x")]);
    report.cases[0].memory = Some((3 << 20) + 1);
    let body = result_body(&id(r#"{"a": 1.0}"#), &report, &Limits::default());
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"id":{"a": 1.0},"isPassed":false,"duration":2000,"testResults":[{"isPassed":false,"description":"E   x","memoryUsed":4,"duration":2,"name":"a::b"}],"isError":false,"errorDetails":""}"#
    );
}

#[test]
fn numbers_are_rounded_and_limited() {
    for (micros, expected) in [(499, 0), (500, 1), (1_499, 1), (1_500, 2), (u64::MAX, 2_147_483_647)] {
        assert_eq!(millis(Duration::from_micros(micros)), expected);
    }
    assert_eq!(millis(Duration::MAX), 2_147_483_647);
}

#[test]
fn details_state_fault_or_errored_tests() {
    let mut broken = report(vec![
        case("a", Outcome::Passed, ""),
        case("b::c", Outcome::Errored, "first\tline\nsecond"),
        case("d", Outcome::Errored, "other"),
    ]);
    assert_eq!(details(&broken), "2 of 3 tests broke: b::c: first line");
    broken.cut = Some("9 of 12 cases left out, those that passed first".to_owned());
    assert_eq!(
        details(&broken),
        "2 of 3 tests broke: b::c: first line (9 of 12 cases left out, those that passed first)"
    );
    broken.fault = Some(Fault::new(Progress::Execute, Cause::Limit, "took\ttoo\n\x1b[31mlong\0"));
    assert_eq!(details(&broken), "took too long (9 of 12 cases left out, those that passed first)");
    broken.fault = Some(Fault::new(Progress::Execute, Cause::Limit, "ю".repeat(400)));
    let text = details(&broken);
    assert_eq!(text.chars().count(), 255);
    assert!(text.starts_with("ююю") && text.ends_with("passed first)"), "{text}");
    let passed = report(vec![case("a", Outcome::Passed, "")]);
    assert_eq!(details(&passed), "");
}

#[test]
fn cleans_text_of_any_report() {
    let dirty = report(vec![case("a\n\0b", Outcome::Failed, "x\0\x1b[31my\r\nz\u{ffff}")]);
    let body = body(&dirty, &Limits::default());
    assert_eq!(body["testResults"][0]["name"], "a b");
    assert_eq!(body["testResults"][0]["description"], "xy\nz");
}

#[test]
fn shrinks_descriptions_before_dropping_cases() {
    let text = "\"quoted\"\n".repeat(500);
    let many = report((0..50).map(|i| case(&format!("t{i}"), Outcome::Failed, &text)).collect());
    let shrunk = body(&many, &Limits { max_body: 40_000, ..Limits::default() });
    assert_eq!(shrunk["testResults"].as_array().unwrap().len(), 50);
    assert!(shrunk["testResults"][3]["description"].as_str().unwrap().contains(" bytes cut …]"));
    assert_eq!(shrunk["errorDetails"], "");
}

#[test]
fn drops_passed_cases_first() {
    let outcome = |i| if i % 4 == 0 { Outcome::Failed } else { Outcome::Passed };
    let many = report((0..400).map(|i| case(&format!("t{i}"), outcome(i), "d")).collect());
    let small = body(&many, &Limits { max_body: 14_000, ..Limits::default() });
    let results = small["testResults"].as_array().unwrap();
    assert_eq!(results.iter().filter(|r| r["isPassed"] == false).count(), 100);
    assert!(results.len() > 100 && results[1]["name"] == "t1", "{}", results.len());
    assert_eq!(
        small["errorDetails"],
        format!("{} of 400 cases left out to fit the result's size", 400 - results.len())
    );
    assert_eq!(small["isPassed"], false);
    let tiny = body(&many, &Limits { max_body: 300, ..Limits::default() });
    assert!(tiny["testResults"].as_array().unwrap().len() < 3);
    let few = body(&many, &Limits { max_cases: 7, ..Limits::default() });
    assert_eq!(few["testResults"].as_array().unwrap().len(), 7);
}

#[test]
fn receipt_is_json_not_html() {
    for body in [r#"{"id":1}"#, "{}", r#""ok""#] {
        assert!(is_receipt(body.as_bytes()), "{body}");
    }
    for body in ["", "<html>", r#"{"id":"#, "OK"] {
        assert!(!is_receipt(body.as_bytes()), "{body}");
    }
}

proptest! {
    #[test]
    fn body_is_json_within_limits(
        cases in prop::collection::vec((0..4_u8, ".{0,30}", "(\\PC|\\s|\u{1b}\\[31m|\0|\"){0,300}"), 0..30),
        message in prop::option::of(".{0,600}"),
        max_body in 200..6_000_u64,
        max_error_details in 0..300_usize,
    ) {
        let outcomes = [Outcome::Passed, Outcome::Failed, Outcome::Errored, Outcome::Skipped];
        let mut report = report(cases.iter().map(|(o, n, d)| case(n, outcomes[usize::from(*o)], d)).collect());
        report.fault = message.map(|message| Fault::new(Progress::Report, Cause::Suite, message));
        let limits = Limits { max_error_details, max_body, ..Limits::default() };
        let body = body(&report, &limits);
        prop_assert!(body["errorDetails"].as_str().unwrap().chars().count() <= max_error_details);
        prop_assert_eq!(&body["isError"], report.verdict() == Verdict::Error);
    }
}
