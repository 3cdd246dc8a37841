//! What a task came to its end by, or met: said in the answer in words for a student, in the log, and in the status.

use std::fmt::Write as _;

use serde_json::Value;

use super::arena::{Answer, Arena};
use super::level::Level;
use super::turn;
use crate::observing::{address, get};
use crate::support::events_in;

/// A student's program, and what must be said of it.
struct Cause {
    name: &'static str,
    file: (&'static str, &'static str),
    /// In the answer, at the levels with a disk of the task's own and at those without.
    says: [&'static str; 2],
    /// How the suite itself ended, where that is the cause; else the limit is in the same words.
    exit: Option<&'static str>,
}

/// The same at all levels.
fn cause(name: &'static str, script: &'static str, says: &'static str) -> Cause {
    Cause { name, file: ("attack.sh", script), says: [says; 2], exit: None }
}

fn causes() -> Vec<Cause> {
    let signal = "the suite was killed by signal 9 (SIGKILL)";
    let endless = "all:\n\t@cat /dev/zero\n";
    let fill = "for i in 1 2 3; do head -c 30M /dev/zero > f$i || exit 1; done; exit 1";
    // For a moment: it is gone when the test ends.
    let short = "for i in 1 2 3; do head -c 30M /dev/zero > f$i; done; sleep 3; rm f*; exit 1";
    // As many as are too many, and no more: the limit of processor time must not strike first.
    let files = "i=0; while [ $i -lt 17000 ]; do : > f$i || exit 1; i=$((i+1)); done; sleep 60; exit 1";
    let no_room = ["the disk was full: the task may use 64 MB", "wrote more than 64 MB to disk"];
    let many = [
        "the disk was full: the task may have 16384 files and folders",
        "made more than 16384 files and folders",
    ];
    let crowd = "i=0; while [ $i -lt 100 ]; do sleep 2 & i=$((i+1)); done; wait; exit 1";
    vec![
        Cause { exit: Some("signal 9 (SIGKILL)"), ..cause("signal", "kill -9 $PPID; sleep 2", signal) },
        cause("memory", "head -c 400M /dev/zero | tail", "killed: used more than 256 MB of memory"),
        cause("processor", "while :; do :; done", "killed: used more than 4 s of processor time"),
        cause("processes", crowd, "started more than 64 processes and threads"),
        Cause {
            file: ("Makefile", endless),
            ..cause("output", "", "killed: wrote more than 4 MB of output")
        },
        Cause { says: no_room, ..cause("disk", fill, "") },
        Cause { says: no_room, ..cause("disk for a moment", short, "") },
        Cause { says: many, ..cause("files", files, "") },
    ]
}

async fn causes_at(level: Level) {
    if !level.available() {
        return;
    }
    let _turn = turn::shared().await;
    // What make writes goes to the suite's own output.
    let command = "{python} run_tests.py --src {src} --junit-xml={report} --capture=no";
    let arguments =
        ["--listen", "127.0.0.1:0", "--timeout", "150", "--output-size", "4M", "--test-command", command];
    // Each has a runner of its own: on a slow machine the processor limit would strike before another one.
    let (processor, others) = causes().into_iter().partition::<Vec<_>, _>(|cause| cause.name == "processor");
    let wrong = wrong_at(level, &[&arguments[..], &["--cpu-time", "4s"]].concat(), processor).await
        + &wrong_at(level, &arguments, others).await;
    assert!(wrong.is_empty(), "{wrong}");
}

/// The problems with `causes` on a runner with `arguments`, a line each, and its log; empty where there are none.
async fn wrong_at(level: Level, arguments: &[&str], causes: Vec<Cause>) -> String {
    let arena = Arena::start(level, arguments).await;
    let mut wrong = String::new();
    for cause in causes {
        let (name, text) = cause.file;
        let text = if name == "attack.sh" { format!("#!/bin/sh\n{text}\n") } else { text.to_owned() };
        let id = arena.submit_files(&[(name, &text)]);
        let answer = arena.answer(&id).await;
        let says = cause.says[usize::from(level.sandbox() == "basic")];
        for problem in problems(&arena, &id.to_string(), &answer, says, &cause).await {
            writeln!(wrong, "{} at {}: {problem}", cause.name, level.name()).unwrap();
        }
    }
    if wrong.is_empty() { wrong } else { format!("{wrong}\n{}", arena.runner.log()) }
}

/// Where it is not told as it should be.
async fn problems(arena: &Arena, id: &str, answer: &Answer, says: &str, cause: &Cause) -> Vec<String> {
    let mut problems = Vec::new();
    if !answer.words.contains(says) || answer.body["isPassed"] == true {
        problems.push(format!("the answer does not say {says:?}: {}", answer.body));
    }
    let limit = says.trim_start_matches("killed: ");
    let log = arena.runner.log();
    let ends = events_in(&log, "task_ended");
    let end = ends.iter().find(|event| event["task.id"] == id).unwrap_or(&Value::Null);
    let (field, wanted) = cause.exit.map_or(("limits", limit), |exit| ("exit", exit));
    if !end[field].as_str().is_some_and(|found| found.starts_with(wanted)) {
        problems.push(format!("the log does not say {wanted}: {end}"));
    }
    let address = address(&arena.runner).await;
    let status: Value = serde_json::from_str(&get(address, "/status").await.1).unwrap();
    let last = status["last"].as_array().unwrap().iter().find(|task| task["task"] == id);
    let (exit, limits) =
        last.map_or((&Value::Null, &Value::Null), |task| (&task["exit"], &task["limits_hit"]));
    let told = match cause.exit {
        Some(wanted) => exit == wanted,
        None => exit.is_string() && limits.as_array().is_some_and(|all| all.iter().any(|one| one == limit)),
    };
    if !told {
        problems.push(format!("the status does not say it: {last:?}"));
    }
    problems
}

#[tokio::test]
async fn every_cause_is_reported() {
    causes_at(Level::strongest()).await;
}

#[tokio::test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
async fn with_bubblewrap_as_a_user() {
    causes_at(Level::BwrapUser).await;
}

#[tokio::test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
async fn at_basic_level_as_root() {
    causes_at(Level::BasicRoot).await;
}

#[tokio::test]
#[ignore = "takes minutes; tests/deep.sh runs it"]
async fn at_basic_level_as_a_user() {
    causes_at(Level::BasicUser).await;
}
