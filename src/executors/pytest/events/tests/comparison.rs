//! Comparison of the events with the report file.

use std::time::Duration;

use report::Limits;
use report::Outcome::{Errored, Failed, Passed, Skipped};
use report::Verdict;
use report::junit::JunitError;

use super::lines::{
    FINISH, HELLO, begin, collected, end, judge, outcomes, read, report_file, session, start, testcase, whole,
};
use crate::executors::pytest::events::message::Line;
use crate::executors::pytest::events::record::Events;

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
            ("t::1", Failed, "as sent"),
            ("t::2", Errored, "as sent"),
            ("t::3", Skipped, "as sent")
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
fn events_win_over_report_file() {
    let file = testcase("0", "") + &testcase("1", "<failure/>") + &testcase("2", "");
    let (report, warnings) = judge(&session(&["failed", "passed", ""]), report_file(&file));
    assert_eq!(
        outcomes(&report),
        [
            ("t::0", Failed, "as sent"),
            ("t::1", Passed, ""),
            ("t::2", Errored, "did not finish: the suite was killed")
        ]
    );
    assert_eq!(report.verdict(), Verdict::Error);
    let warning = "cases that ended differently in the suite's report: 3 (t::0 (failed; in the file: passed), t::1 \
                   (passed; in the file: failed), t::2 (not finished; in the file: passed))";
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
fn unfinished_case_does_not_pass() {
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
fn complete_needs_end_of_all_cases_and_session() {
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
    for junit in [Err(JunitError::Missing), report_file(&testcase("1", "<failure message='as sent'/>"))] {
        let (report, _) = events.judge(junit, "", &Limits::default());
        let noted = "killed: used more than 512 MB of memory\nas sent";
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
fn repeated_test_has_its_last_result() {
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
