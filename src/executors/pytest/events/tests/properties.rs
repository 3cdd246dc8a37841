//! Properties that hold for any lines.

use proptest::prelude::*;
use report::Outcome::Failed;
use report::junit::{self, JunitError};
use report::{Case, Limits, Verdict};
use serde_json::json;

use super::lines::{FINISH, HELLO, begin, end, read, report_file, start};
use crate::executors::pytest::events::names;

/// The text of an attribute's value in XML.
fn escaped(text: &str) -> String {
    let special = |c| matches!(c, '<' | '&' | '"' | '\n' | '\r' | '\t');
    text.chars().map(|c| if special(c) { format!("&#{};", c as u32) } else { c.to_string() }).collect()
}

/// A case as the reader of JUnit reports returns it.
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
        // The plugin trims the message, as the reader of JUnit reports does.
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
        let passes = lines.iter().filter(|line| line.contains(r#""passed""#)).count() as u64;
        let cases = file.iter().map(|(class, name, passed)| {
            let inner = if *passed { "" } else { "<failure/>" };
            format!("<testcase classname='{class}' name='{name}'>{inner}</testcase>")
        });
        let file = cases.collect::<Vec<_>>().concat();
        let (report, _) = events.judge(report_file(&file), "", &Limits::default());
        let (alone, _) = events.judge(Err(JunitError::Missing), "", &Limits::default());
        for report in [report, alone] {
            prop_assert!(report.tally.passed <= passes);
            prop_assert!(report.tally.total() >= events.total() as u64);
            prop_assert!(report.verdict() != Verdict::Success || events.finished() == events.total());
        }
        prop_assert!(!events.complete() || events.finished() == events.total());
    }
}
