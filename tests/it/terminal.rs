//! Tests of the progress line on a terminal: it shows the current action and is erased at the end.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Repository, Terminal, command, eventually, have, running, scripted_suite};

/// A suite that ignores SIGINT.
const IGNORES_SIGINT: &str = "\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
'--help' in sys.argv or os.execvp('sleep', ['sleep', '62.5'])
";

/// `runner run` on a program whose `run.sh` is `script`.
fn run(home: &TempDir, script: &str, arguments: &[&str]) -> Command {
    let suite = scripted_suite(&home.path().join("suite"));
    let program = home.path().join("program");
    std::fs::create_dir(&program).unwrap();
    std::fs::write(program.join("run.sh"), script).unwrap();
    let mut run = command(home.path());
    run.env("TERM", "xterm").args(["--sandbox", "none", "--tests-url", &suite]).args(arguments);
    run.arg("run").arg(program);
    run
}

/// Whether the text has a progress line: a spinner, the seconds, and the action.
fn shows_progress(text: &str) -> bool {
    let line = |line: &str| {
        let rest = line.trim_start_matches("\u{1b}[2K").trim_start_matches("\u{1b}[36m");
        let rest = rest.strip_prefix(['|', '/', '-', '\\'])?;
        let (seconds, _) = rest.trim_start_matches("\u{1b}[0m").split_once(" s  ")?;
        seconds.trim().parse::<u64>().ok()
    };
    text.split(['\r', '\n']).any(|text| line(text).is_some())
}

/// Number of escape sequences that set colours.
fn colours(bytes: &str) -> usize {
    let ends =
        |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m');
    bytes.split("\u{1b}[").skip(1).filter(|rest| ends(rest)).count()
}

#[tokio::test]
async fn progress_is_shown_and_erased() {
    let home = tempfile::tempdir().unwrap();
    let mut run = run(&home, r#"sleep 1.5; printf %s "$PASS" > "$REPORT""#, &[]);
    // An action of less than 0.1 s may not be shown, so slow python3 down.
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let python = bin.join("python3");
    std::fs::write(&python, "#!/bin/sh\nsleep 0.5\nexec /usr/bin/python3 \"$@\"\n").unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut terminal =
        Terminal::start(run.env("PATH", format!("{}:/usr/bin:/bin", bin.display())), (50, 100));
    eventually("the terminal shows the action", || terminal.screen().contains("running the tests")).await;
    let line = terminal.screen();
    assert!(shows_progress(&line) && line.contains(" s  running the tests"), "{line}");
    assert!(terminal.ended().await.success());
    let (screen, bytes) = (terminal.screen(), terminal.bytes());
    assert!(bytes.contains("the suite's environment"), "{bytes:?}");
    assert!(colours(&bytes) > 0, "{bytes:?}");
    assert!(screen.starts_with("        test"), "{screen}");
    assert!(screen.trim_end().contains("SUCCESS: 1 of 1") && !shows_progress(&screen), "{screen}");
}

#[tokio::test]
async fn progress_does_not_tear_log_lines() {
    let home = tempfile::tempdir().unwrap();
    let script = r#"sleep 0.5; printf %s "$PASS" > "$REPORT""#;
    let run = run(&home, script, &["--logger-level", "debug"]);
    let mut terminal = Terminal::start(&run, (100, 600));
    assert!(terminal.ended().await.success());
    let screen = terminal.screen();
    assert!(shows_progress(&terminal.bytes()), "{:?}", terminal.bytes());
    assert!(!shows_progress(&screen), "{screen}");
    // Each log line begins with its date. The table follows the log.
    let (log, table): (Vec<_>, Vec<_>) = screen.lines().partition(|line| line.starts_with("20"));
    assert!(log.len() > 5 && log.iter().all(|line| line.contains("Z ")), "{screen}");
    assert!(table[0].starts_with("        test") && table.len() == 4, "{table:?}");
}

#[tokio::test]
async fn progress_obeys_no_color_and_dumb_terminal() {
    let script = r#"sleep 0.5; printf %s "$PASS" > "$REPORT""#;
    for (variable, value, shown) in [("NO_COLOR", "1", true), ("TERM", "dumb", false)] {
        let home = tempfile::tempdir().unwrap();
        let mut run = run(&home, script, &[]);
        let mut terminal = Terminal::start(run.env(variable, value), (50, 100));
        assert!(terminal.ended().await.success());
        let bytes = terminal.bytes();
        assert!(bytes.contains("SUCCESS: 1 of 1"), "{variable}: {bytes:?}");
        assert_eq!(
            (shows_progress(&bytes), bytes.contains("running the tests")),
            (shown, shown),
            "{bytes:?}"
        );
        assert_eq!(bytes.contains('\u{1b}'), shown, "{variable}: {bytes:?}");
        assert_eq!(colours(&bytes), 0, "{variable}: {bytes:?}");
    }
}

#[tokio::test]
async fn no_progress_in_pipes() {
    let home = tempfile::tempdir().unwrap();
    let mut run = run(&home, r#"sleep 0.5; printf %s "$PASS" > "$REPORT""#, &["--logger-level", "info"]);
    let output = tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
    assert!(output.status.success());
    for bytes in [output.stdout, output.stderr] {
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.is_empty() && !text.contains(['\u{1b}', '\r']) && !shows_progress(&text), "{text:?}");
        assert!(!text.contains("running the tests"), "{text}");
    }
}

#[tokio::test]
async fn ctrl_c_erases_progress() {
    let home = tempfile::tempdir().unwrap();
    let run = run(&home, "sleep 61.5", &["--grace", "1"]);
    let mut terminal = Terminal::start(&run, (50, 100));
    eventually("the task runs", || terminal.screen().contains("running the tests")).await;
    eventually("the student's program runs", || running("sleep 61.5")).await;
    terminal.strike("\u{3}");
    assert_eq!(terminal.ended().await.code(), Some(1));
    let screen = terminal.screen();
    assert!(screen.contains("ERROR") && screen.contains("execute") && !shows_progress(&screen), "{screen}");
    assert!(!running("sleep 61.5"));
}

#[tokio::test]
async fn third_signal_erases_progress() {
    let home = tempfile::tempdir().unwrap();
    let run = run(&home, "", &["--grace", "1h"]);
    Repository::open(&home.path().join("suite")).commit(&[("run_tests.py", IGNORES_SIGINT)]);
    let mut terminal = Terminal::start(&run, (50, 100));
    eventually("the task runs", || terminal.screen().contains("running the tests")).await;
    eventually("the suite ignores SIGINT", || running("sleep 62.5")).await;
    for _ in 0..3 {
        terminal.strike("\u{3}");
        // The kernel merges equal signals that arrive at once.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(terminal.ended().await.code(), Some(130));
    let screen = terminal.screen();
    // The log line of the second signal stays on the screen.
    let own = |line: &str| line.contains(" WARN ") || line.trim_matches(['^', 'C']).is_empty();
    assert!(screen.lines().all(own), "{screen}");
    assert!(!shows_progress(&screen) && !screen.contains("running the tests"), "{screen}");
    eventually("the suite has ended", || !running("sleep 62.5")).await;
}

#[tokio::test]
async fn demo_shows_number_of_answered_tasks() {
    if !have("python3", "python3 python3-venv") || !have("cc", "gcc") || !have("make", "make") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut demo = command(home.path());
    // The terminal is narrower than the progress text.
    let mut terminal = Terminal::start(demo.env("TERM", "xterm").arg("demo"), (60, 50));
    assert!(terminal.ended().await.success());
    let (screen, bytes) = (terminal.screen(), terminal.bytes());
    // It depends on the machine which actions take long enough to be shown.
    let actions = ["fetching the suite", "making the suite's environment", "installing the suite's packages"];
    assert!(actions.iter().any(|action| bytes.contains(action)), "{bytes:?}");
    assert!(!actions.iter().any(|action| screen.contains(action)), "{screen}");
    let tasks = "3 of 4 tasks answered; never-ends:";
    assert!(bytes.contains(tasks) && !screen.contains(tasks), "{bytes:?}");
    assert!(!shows_progress(&screen), "{screen}");
    assert!(screen.starts_with("mock backend   http"), "{screen}");
}

#[tokio::test]
async fn doctor_shows_current_check() {
    let home = tempfile::tempdir().unwrap();
    let suite = scripted_suite(&home.path().join("suite"));
    let mut doctor = command(home.path());
    doctor.env("TERM", "xterm").args([
        "doctor",
        "--backend-url",
        "http://127.0.0.1:9",
        "--tests-url",
        &suite,
    ]);
    let mut terminal = Terminal::start(&doctor, (100, 200));
    assert_eq!(terminal.ended().await.code(), Some(1));
    let (screen, bytes) = (terminal.screen(), terminal.bytes());
    assert!(bytes.contains(" s  looking at ") && !screen.contains(" s  looking at "), "{bytes:?}");
    assert!(screen.starts_with("ok       python3 ") && !shows_progress(&screen), "{screen}");
}

#[tokio::test]
async fn log_colours_obey_terminal() {
    for (term, coloured) in [("xterm", true), ("dumb", false)] {
        let home = tempfile::tempdir().unwrap();
        let mut daemon = command(home.path());
        daemon.env("TERM", term).args(["--mock", "--sandbox", "none", "--backend-url", "http://127.0.0.1:1"]);
        let mut terminal = Terminal::start(&daemon, (50, 100));
        eventually("a warning is logged", || terminal.bytes().contains("WARN")).await;
        let bytes = terminal.bytes();
        assert_eq!(colours(&bytes) > 0, coloured, "{term}: {bytes:?}");
        terminal.strike("\u{3}");
        terminal.ended().await;
    }
}
