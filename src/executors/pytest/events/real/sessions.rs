//! Whole sessions: the events equal the report file of the same run.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use report::Outcome::{Errored, Failed, Passed};
use report::junit::JunitError;
use report::{Limits, Report, UNNAMED};

use super::support::Suite;
use crate::executors::pytest::events::limits::MAX_LINE;

const SAMPLE: &[(&str, &str)] = &[
    ("tests/test_all.py", include_str!("sample/test_all.py")),
    ("tests/nested/deep/test_deep.py", include_str!("sample/test_deep.py")),
    ("other/test_skipped_module.py", "import pytest\npytest.skip('whole module', allow_module_level=True)\n"),
    ("other/test_broken.py", "import nothing_like_this\n"),
];

#[test]
fn events_equal_report_file() {
    for style in [&["--tb=long"][..], &["--tb=line", "-p", "no:cacheprovider", "--junit-prefix=a.b"]] {
        let suite = Suite::new(SAMPLE);
        let Some(mut session) = suite.run(style, |_, _| {}) else { return };
        let sent = session.report();
        let mut junit = std::mem::replace(&mut session.junit, Err(JunitError::Missing)).unwrap();
        // pytest writes two cases for this test; the events have one.
        let double = junit.cases.iter().position(|case| case.name.ends_with("test_both")).unwrap();
        let second = junit.cases.remove(double + 1);
        let first = &mut junit.cases[double];
        first.description = format!("{}\n{}", first.description, second.description);
        first.outcome = second.outcome;
        let summary = |report: &Report| -> Vec<_> {
            let cases = report.cases.iter();
            cases.map(|case| (case.name.clone(), case.outcome, case.description.clone())).collect()
        };
        let (sent, written) = (summary(&sent), summary(&junit));
        for (sent, written) in sent.iter().zip(&written) {
            if sent.0.ends_with("test_long") {
                assert!(sent.2.contains(" bytes cut …]") && sent.2.len() <= 16 << 10);
                assert_eq!((&sent.0, sent.1, &sent.2[..4_000]), (&written.0, written.1, &written.2[..4_000]));
            } else {
                assert_eq!(sent, written);
            }
        }
        assert_eq!(sent.len(), written.len());
        assert!(written.len() > 30, "{}", session.output);
        let (_, warnings) = session.events().judge(Ok(junit), "", &Limits::default());
        assert_eq!(warnings, [""; 0]);
        assert!(session.events().complete() && session.events().exit() == Some(1));
        assert!(session.lines.iter().all(|line| line.is_ascii() && line.len() < MAX_LINE));
    }
}

const THREE: &str = "import time\ndef test_1(): pass\ndef test_2(): time.sleep(60)\ndef test_3(): pass\n";

#[test]
fn interrupt_leaves_running_case_unfinished() {
    let suite = Suite::new(&[("test_three.py", THREE)]);
    let signal_in_second = |signal: Signal| {
        suite.run(&[], |line, child| {
            if line.contains(r#""case":1,"event":"start""#) {
                kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            }
        })
    };
    let Some(interrupted) = signal_in_second(Signal::SIGINT) else { return };
    let expected = [("test_1", Passed), ("test_2", Errored), ("test_3", Failed)]
        .map(|(name, outcome)| (name.to_owned(), outcome));
    assert_eq!(interrupted.outcomes(), expected, "{}", interrupted.output);
    assert_eq!((interrupted.events().exit(), interrupted.events().complete()), (Some(2), false));
    let killed = signal_in_second(Signal::SIGKILL).unwrap();
    assert_eq!(killed.outcomes(), expected, "{}", killed.output);
    assert_eq!((killed.events().exit(), killed.events().complete()), (None, false));
}

#[test]
fn empty_and_misused_sessions_are_complete() {
    let suite = Suite::new(&[("test_three.py", THREE)]);
    for (arguments, exit) in [(&["-k", "nothing"], 5), (&["-q", "missing.py"], 4)] {
        let Some(session) = suite.run(arguments, |_, _| {}) else { return };
        let events = session.events();
        assert_eq!((events.exit(), events.total(), events.complete()), (Some(exit), 0, true));
        // Older interpreters can crash on a socket that is still open at the end.
        assert_eq!(session.code.map(i64::from), Some(exit), "{}", session.output);
    }
}

#[test]
fn exit_inside_test_leaves_session_incomplete() {
    let suite = Suite::new(&[(
        "test_three.py",
        &THREE.replace("time.sleep(60)", "__import__('pytest').exit('enough')"),
    )]);
    let Some(mut session) = suite.run(&[], |_, _| {}) else { return };
    let expected = [Passed, Errored, Failed];
    assert!(session.outcomes().iter().map(|(_, outcome)| *outcome).eq(expected), "{}", session.output);
    // In pytest's file this is a case without a name and without a failure.
    let junit = std::mem::replace(&mut session.junit, Err(JunitError::Missing)).unwrap();
    assert!(junit.cases.iter().any(|case| case.name == UNNAMED && case.outcome == Passed));
    let (report, warnings) = session.events().judge(Ok(junit), "it was stopped", &Limits::default());
    assert!(report.cases.iter().map(|case| case.outcome).eq(expected), "{report:?}");
    assert_eq!(warnings, [""; 0]);
}

/// Registers a plugin under the name of pytest-forked. What its processes do does not matter for the events.
const FORKED: &str = "
def pytest_configure(config):
    config.addinivalue_line('markers', 'forked: in a separate process')
    config.pluginmanager.register(type('Plugin', (), {})(), 'pytest_forked')
";

#[test]
fn tests_in_forks_cause_doubt() {
    let tests =
        "import pytest\n\n@pytest.mark.forked\ndef test_one():\n    pass\n\ndef test_two():\n    pass\n";
    let suite = Suite::new(&[("conftest.py", FORKED), ("test_two.py", tests)]);
    let Some(session) = suite.run(&[], |_, _| {}) else { return };
    let (report, warnings) = session.events().judge(Err(JunitError::Missing), "", &Limits::default());
    assert_eq!(report.tally.passed, 2, "{report:?}\n{}", session.output);
    assert!(warnings[0].starts_with("pytest-forked: 1 tests run in processes"), "{warnings:?}");
}
