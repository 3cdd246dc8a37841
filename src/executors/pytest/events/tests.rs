use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use report::junit::{self, JunitError};
use report::{Case, Report, Verdict};

const HELLO: &str = r#"{"event":"hello","version":1,"pytest":"9.0.0","pid":7}"#;
const FINISH: &str = r#"{"event":"finish","exit":0}"#;

fn read(lines: &[String]) -> Option<Events> {
    read_within(lines, &Limits::default())
}

fn read_within(lines: &[String], limits: &Limits) -> Option<Events> {
    let lines = lines.iter().map(|text| Line { text, ..Line::default() });
    Events::read(lines, limits)
}

fn collected(cases: &[&str]) -> String {
    json!({"event": "collected", "cases": cases}).to_string()
}

fn begin(count: u64) -> String {
    json!({"event": "begin", "count": count}).to_string()
}

fn start(case: u64) -> String {
    json!({"event": "start", "case": case}).to_string()
}

fn end(case: u64, outcome: &str, description: &str) -> String {
    json!({"event": "end", "case": case, "outcome": outcome, "duration": 0.25, "description": description})
        .to_string()
}

/// A session of cases `t::0`, `t::1`, … that end in these ways; an empty one begins and does not end, a `-` does not
/// begin.
fn session(outcomes: &[&str]) -> Vec<String> {
    let names: Vec<String> = (0..outcomes.len()).map(|case| format!("tests.t::{case}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lines = vec![HELLO.to_owned(), collected(&names), begin(names.len() as u64)];
    for (case, outcome) in (0..).zip(outcomes) {
        if *outcome != "-" {
            lines.push(start(case));
        }
        if !matches!(*outcome, "-" | "") {
            lines.push(end(case, outcome, if *outcome == "passed" { "" } else { "as told" }));
        }
    }
    lines
}

fn whole(outcomes: &[&str]) -> Vec<String> {
    let mut lines = session(outcomes);
    lines.push(FINISH.to_owned());
    lines
}

fn judge(lines: &[String], junit: Result<Report, JunitError>) -> (Report, Vec<String>) {
    read(lines).unwrap().judge(junit, "the suite was killed", &Limits::default())
}

fn report_file(cases: &str) -> Result<Report, JunitError> {
    junit::read(format!("<testsuite time='3'>{cases}</testsuite>").as_bytes(), &Limits::default())
}

fn testcase(name: &str, inner: &str) -> String {
    format!("<testcase classname='tests.t' name='{name}' time='0.5'>{inner}</testcase>")
}

fn outcomes(report: &Report) -> Vec<(&str, Outcome, &str)> {
    report.cases.iter().map(|case| (case.name.as_str(), case.outcome, case.description.as_str())).collect()
}

use Outcome::{Errored, Failed, Passed, Skipped};

#[test]
fn without_hello_there_are_no_events() {
    assert!(read(&[]).is_none());
    assert!(read(&[collected(&["a::b"]), begin(1), start(0), end(0, "passed", "")]).is_none());
    assert!(read(&[HELLO.replace("\"version\":1", "\"version\":2")]).is_none());
    assert!(read(&[HELLO.to_owned()]).is_some());
}

#[test]
fn complete_session_needs_no_report_file() {
    let lines = whole(&["passed", "failed", "errored", "skipped"]);
    let events = read(&lines).unwrap();
    assert_eq!((events.total(), events.finished(), events.complete(), events.exit()), (4, 4, true, Some(0)));
    let (report, warnings) = judge(&lines, Err(JunitError::Missing));
    assert_eq!(
        outcomes(&report),
        [
            ("t::0", Passed, ""),
            ("t::1", Failed, "as told"),
            ("t::2", Errored, "as told"),
            ("t::3", Skipped, "as told")
        ]
    );
    assert_eq!((report.tally.total(), report.duration, report.fault), (4, Duration::from_secs(1), None));
    assert_eq!(warnings, ["the suite's report adds no details: there is no report file"]);
}

#[test]
fn report_file_adds_details_on_agreement() {
    let file = testcase("0", "") + &testcase("1", "<failure message='m'>E  as written</failure>");
    let (report, warnings) = judge(&whole(&["passed", "failed"]), report_file(&file));
    assert_eq!(outcomes(&report), [("t::0", Passed, ""), ("t::1", Failed, "m\nE  as written")]);
    assert_eq!(report.cases[0].duration, Duration::from_millis(500));
    assert_eq!((report.duration, warnings.len()), (Duration::from_secs(3), 0));
}

#[test]
fn where_they_differ_the_events_win() {
    let file = testcase("0", "") + &testcase("1", "<failure/>") + &testcase("2", "");
    let (report, warnings) = judge(&session(&["failed", "passed", ""]), report_file(&file));
    assert_eq!(
        outcomes(&report),
        [
            ("t::0", Failed, "as told"),
            ("t::1", Passed, ""),
            ("t::2", Errored, "did not finish: the suite was killed")
        ]
    );
    assert_eq!(report.verdict(), Verdict::Error);
    let warning = "cases that came to something else than the suite's report says: 3 (t::0 (failed; the file says: \
                   passed), t::1 (passed; the file says: failed), t::2 (not finished; the file says: passed))";
    assert_eq!(warnings, [warning]);
}

#[test]
fn cases_only_in_report_file_never_pass() {
    let file = testcase("0", "") + &testcase("forged", "") + &testcase("more", "<failure message='m'/>");
    let (report, warnings) = judge(&whole(&["passed", "passed"]), report_file(&file));
    assert_eq!(outcomes(&report), [("t::0", Passed, ""), ("t::1", Passed, ""), ("t::more", Failed, "m")]);
    assert_eq!((report.tally.passed, report.tally.failed), (2, 1));
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("missing in the suite's report: 1 (t::1)"), "{warnings:?}");
    assert!(warnings[1].contains("2 (t::forged (passed), t::more (failed))"), "{warnings:?}");
}

#[test]
fn a_case_that_never_ended_did_not_pass() {
    let events = session(&["passed", "", "-"]);
    let read = read(&events).unwrap();
    assert_eq!((read.total(), read.finished(), read.complete(), read.exit()), (3, 1, false, None));
    let (report, _) = judge(&events, Err(JunitError::Empty));
    assert_eq!(
        outcomes(&report),
        [
            ("t::0", Passed, ""),
            ("t::1", Errored, "did not finish: the suite was killed"),
            ("t::2", Failed, "did not run: the suite ended before it")
        ]
    );
}

#[test]
fn complete_is_only_what_ended_in_every_way() {
    let complete = |lines: &[String]| read(lines).unwrap().complete();
    assert!(complete(&whole(&[])));
    assert!(complete(&whole(&["passed"])));
    assert!(!complete(&session(&["passed"])), "no finish");
    assert!(!complete(&whole(&["passed", ""])), "a case runs");
    assert!(!complete(&whole(&["passed", "-"])), "a case did not run");
    assert!(!complete(&[HELLO.to_owned(), FINISH.to_owned()]), "no list");
    let mut announced = whole(&["passed"]);
    announced[2] = begin(2);
    assert!(!complete(&announced), "a case without a name");
}

#[test]
fn memory_and_note_belong_to_ended_case() {
    let lines = whole(&["passed", "failed"]);
    let lines = lines.iter().map(|text| Line {
        text,
        memory: Some(10 << 20),
        note: Some("killed: used more than 512 MB of memory"),
    });
    let events = Events::read(lines, &Limits::default()).unwrap();
    for junit in [Err(JunitError::Missing), report_file(&testcase("1", "<failure message='as told'/>"))] {
        let (report, _) = events.judge(junit, "", &Limits::default());
        let noted = "killed: used more than 512 MB of memory\nas told";
        assert_eq!(outcomes(&report), [("t::0", Passed, ""), ("t::1", Failed, noted)]);
        assert_eq!(report.cases[0].memory, Some(10 << 20));
    }
}

#[test]
fn matches_equal_names_in_order() {
    let lines = [
        HELLO.to_owned(),
        collected(&["t::a", "t::b", "t::a"]),
        begin(3),
        start(0),
        end(0, "failed", ""),
        start(1),
        end(1, "passed", ""),
        start(2),
        end(2, "errored", ""),
        FINISH.to_owned(),
    ];
    let file = testcase("a", "<failure message='1st'/>")
        + &testcase("b", "")
        + &testcase("a", "<failure message='2nd'/>")
        + &testcase("a", "<error message='its teardown'/>");
    let (report, warnings) = judge(&lines, report_file(&file));
    let expected = [("t::a", Failed, "1st"), ("t::b", Passed, ""), ("t::a", Errored, "2nd\nits teardown")];
    assert_eq!((outcomes(&report), warnings.len()), (expected.to_vec(), 0));
    assert_eq!(report.cases[2].duration, Duration::from_secs(1));
}

#[test]
fn what_was_run_again_is_its_last_run() {
    let file = testcase("0", "").repeat(3)
        + &testcase("1", "").repeat(2)
        + &testcase("1", "<failure message='1st'/>")
        + &testcase("1", "<error message='2nd'/>");
    let (report, warnings) = judge(&whole(&["passed", "errored"]), report_file(&file));
    assert_eq!(
        (outcomes(&report), warnings.len()),
        (vec![("t::0", Passed, ""), ("t::1", Errored, "1st\n2nd")], 0)
    );
}

/// One session that passes, with a line put in or changed: what must not become better, and what is said of it.
#[test]
fn odd_lines_never_add_passes() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, u64, Change); 16] = [
        ("a line is no event", 2, |lines| lines.insert(2, "{".to_owned())),
        ("a line is no event", 2, |lines| lines.insert(2, r#"{"event":"pass_all"}"#.to_owned())),
        ("a line is too long", 2, |lines| lines.insert(2, " ".repeat(LONGEST_LINE + 1))),
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
    for (says, passed, change) in changes {
        let mut lines = whole(&["passed", "passed"]);
        change(&mut lines);
        let (report, warnings) = judge(&lines, Err(JunitError::Missing));
        assert_eq!(report.tally.passed, passed, "{says}: {report:?}");
        assert!(
            warnings[0].starts_with("odd events: ") && warnings[0].contains(says),
            "{says}: {warnings:?}"
        );
        if says.contains("announced and 2") || passed < 2 {
            let verdict = report.verdict();
            assert!(verdict != Verdict::Success || says.starts_with('1'), "{says}");
        }
    }
}

#[test]
fn endless_list_is_counted_without_passes() {
    let names: Vec<&str> = vec!["t::x"; 5_000];
    let chunk = collected(&names);
    let mut lines = vec![HELLO.to_owned()];
    lines.extend(vec![chunk; MOST_CASES / 5_000 + 1]);
    lines.extend([begin(MOST_CASES as u64 + 5_000), FINISH.to_owned()]);
    let events = read(&lines).unwrap();
    assert_eq!(
        (events.cases.len(), events.total(), events.complete()),
        (MOST_CASES, MOST_CASES + 5_000, false)
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
fn the_limits_keep_what_did_not_pass() {
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
    assert_eq!(warnings, ["the suite's report is not whole: 1 of 2 cases left out, those that passed first"]);
}

/// What an attribute's value is written as.
fn escaped(text: &str) -> String {
    let special = |c| matches!(c, '<' | '&' | '"' | '\n' | '\r' | '\t');
    text.chars().map(|c| if special(c) { format!("&#{};", c as u32) } else { c.to_string() }).collect()
}

/// What junit makes of one case.
fn as_junit_reads(class: &str, name: &str, inner: &str) -> Case {
    let (class, name) = (escaped(class), escaped(name));
    let file =
        format!("<testsuite><testcase classname=\"{class}\" name=\"{name}\">{inner}</testcase></testsuite>");
    junit::read(file.as_bytes(), &Limits::default()).unwrap().cases.remove(0)
}

fn arb_line() -> impl Strategy<Value = String> {
    let case = prop_oneof![0..4_u64, any::<u64>()];
    let outcome = prop::sample::select(vec!["passed", "failed", "errored", "skipped", "", "PASSED"]);
    prop_oneof![
        Just(HELLO.to_owned()),
        Just(FINISH.to_owned()),
        prop::collection::vec("[a-c]{0,2}(::)?[a-c]{0,2}", 0..4)
            .prop_map(|names| json!({"event": "collected", "cases": names}).to_string()),
        case.clone().prop_map(begin),
        case.clone().prop_map(start),
        (case, outcome, ".{0,20}").prop_map(|(case, outcome, text)| end(case, outcome, &text)),
        ".{0,40}",
        r#"\{"event":"(end|start|begin)","case":-?[0-9]{0,30},"count":[0-9e.]{1,5},"outcome":"passed","duration":-?[0-9e]{1,9}\}"#,
    ]
}

proptest! {
    #[test]
    fn names_are_those_of_junit(class in "(tests\\.)?[a-c. \u{1b}\n]{0,8}", name in "\\PC{0,8}|[ \t\n\u{85}a:]{0,8}|ä{500,700}") {
        prop_assert_eq!(names::of_event(&format!("{class}::{name}")), as_junit_reads(&class, &name, "").name);
    }

    #[test]
    fn descriptions_are_those_of_junit(text in "[ \n\ta\u{1b}\u{9b}#x1B\\[m\u{7f}ä]{0,30}") {
        let inner = format!("<failure message=\"{}\"/>", escaped(&text));
        let junit = as_junit_reads("", "a", &inner).description;
        // The plugin trims the message, as junit does.
        prop_assert_eq!(names::description(text.trim(), Failed), junit);
    }

    #[test]
    fn any_lines_give_no_extra_passes(
        lines in prop::collection::vec(arb_line(), 0..30),
        hello in any::<bool>(),
        file in prop::collection::vec(("[a-c]{0,2}", "[a-c]{0,2}", any::<bool>()), 0..6),
    ) {
        let mut lines = lines;
        if hello {
            lines.insert(0, HELLO.to_owned());
        }
        let Some(events) = read(&lines) else { return Ok(()) };
        let told = lines.iter().filter(|line| line.contains(r#""passed""#)).count() as u64;
        let cases = file.iter().map(|(class, name, passed)| {
            let inner = if *passed { "" } else { "<failure/>" };
            format!("<testcase classname='{class}' name='{name}'>{inner}</testcase>")
        });
        let file = cases.collect::<Vec<_>>().concat();
        let (report, _) = events.judge(report_file(&file), "", &Limits::default());
        let (alone, _) = events.judge(Err(JunitError::Missing), "", &Limits::default());
        for report in [report, alone] {
            prop_assert!(report.tally.passed <= told);
            prop_assert!(report.tally.total() >= events.total() as u64);
            prop_assert!(report.verdict() != Verdict::Success || events.finished() == events.total());
        }
        prop_assert!(!events.complete() || events.finished() == events.total());
    }
}
