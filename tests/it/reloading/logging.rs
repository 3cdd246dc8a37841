//! Tests of the log across SIGHUP: its level and its JSON format.

use std::time::Duration;

use serde_json::Value;

use super::fixture::Reloading;
use crate::support::{PASS, eventually};

#[tokio::test]
async fn log_level_changes_in_both_directions() {
    let mut runner = Reloading::with("check_interval = 0.05\nlogger_level = \"error\"\n").await;
    assert_eq!(runner.log(), "", "the log is not empty");
    runner.reload("check_interval = 0.05\nlogger_level = \"info\"\n").await;
    assert_eq!(runner.last_changes().0.as_deref(), Some("logger_level error -> info"));
    runner.world.answer(&runner.world.submit(PASS)).await;
    eventually("the end of a task is logged", || runner.world.runner.logged("task_ended")).await;
    assert!(!runner.has_level("debug"));
    runner.reload("check_interval = 0.05\nlogger_level = \"debug\"\n").await;
    runner.world.answer(&runner.world.submit(PASS)).await;
    eventually("a debug line is logged", || runner.has_level("debug")).await;
    runner.reload("check_interval = 0.05\nlogger_level = \"critical\"\n").await;
    let before = runner.log();
    assert_eq!(runner.last_changes().0.as_deref(), Some("logger_level debug -> critical"));
    runner.world.answer(&runner.world.submit(PASS)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(runner.log(), before);
}

#[tokio::test]
async fn log_level_changes_in_json_too() {
    let start = "check_interval = 0.05\nlog_format = \"json\"\nlogger_level = ";
    let mut runner = Reloading::with(&format!("{start}\"error\"\n")).await;
    assert_eq!(runner.log(), "");
    runner.reload(&format!("{start}\"debug\"\n")).await;
    runner.world.answer(&runner.world.submit(PASS)).await;
    eventually("a debug line is logged", || runner.log().contains("\"debug\"")).await;
    let log = runner.log();
    let all_json = log.lines().take(3).all(|line| serde_json::from_str::<Value>(line).is_ok());
    assert!(all_json, "{log}");
}

#[tokio::test]
async fn json_log_escapes_control_characters() {
    let start = "check_interval = 0.05\nlog_format = \"json\"\n";
    let runner = Reloading::with(start).await;
    runner.write_and_hang_up(&format!("{start}concurrent = \"\\u009b31m\"\n"));
    eventually("the event is logged", || runner.world.runner.logged("reload_failed")).await;
    let log = runner.log();
    assert!(log.contains(r"'\u009b31m'") && !log.contains('\u{9b}'), "{log}");
}
