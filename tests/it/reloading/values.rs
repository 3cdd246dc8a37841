//! Tests of settings that SIGHUP changes, settings that need a restart, and values that are equal.

use std::fs;
use std::time::Duration;

use super::fixture::Reloading;
use crate::observing::{address, get, value};

#[tokio::test]
async fn slot_count_changes_while_running() {
    let mut runner = Reloading::with("check_interval = 0.05\nconcurrent = 1\n").await;
    let tasks: Vec<_> = (0..6).map(|_| runner.submit_gated()).collect();
    runner.assert_claimed(1).await;
    runner.reload("check_interval = 0.05\nconcurrent = 3\n").await;
    assert_eq!(runner.last_changes().0.as_deref(), Some("concurrent 1 -> 3"));
    runner.assert_claimed(3).await;
    runner.reload("check_interval = 0.05\nconcurrent = 1\n").await;
    for (id, gate) in &tasks[..2] {
        fs::write(gate, "").unwrap();
        assert_eq!(runner.world.answer(id).await["isPassed"], true, "the reload disturbed a running task");
        runner.assert_claimed(3).await;
    }
    fs::write(&tasks[2].1, "").unwrap();
    runner.assert_claimed(4).await;
    for (id, gate) in &tasks {
        fs::write(gate, "").unwrap();
        assert_eq!(runner.world.answer(id).await["isPassed"], true);
    }
    runner.world.assert_clean();
}

#[tokio::test]
async fn names_settings_that_need_restart() {
    let mut runner = Reloading::with("check_interval = 0.05\n").await;
    let changed = "check_interval = 0.1\nmemory = \"256M\"\nlogin = \"other\"\npassword = \"word\"\n";
    fs::set_permissions(&runner.file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    runner.reload(changed).await;
    let restart = Some("login, password, memory".to_owned());
    assert_eq!(runner.last_changes(), (Some("check_interval 0.05 -> 0.1".to_owned()), restart.clone()));
    let log = runner.log();
    assert!(!log.contains("word\\\"") && !log.contains(" word"), "{log}");
    runner.reload(changed).await;
    assert_eq!(runner.last_changes(), (None, restart));
    runner.reload("check_interval = 0.1\n").await;
    assert_eq!(runner.last_changes(), (None, None));
}

#[tokio::test]
async fn metrics_follow_reload() {
    let mut runner =
        Reloading::with("check_interval = 0.05\nconcurrent = 1\nlisten = \"127.0.0.1:0\"\n").await;
    let address = address(&runner.world.runner).await;
    let slots = async || value(&get(address, "/metrics").await.1, "ostest_runner_slots");
    assert!((slots().await - 1.0).abs() < 0.1);
    let (id, gate) = runner.submit_gated();
    runner.assert_claimed(1).await;
    // The number of slots changes while the poll loop waits for a slot, and while it has a free slot.
    for (concurrent, slots_expected) in [(1, 1.0), (3, 3.0), (2, 2.0)] {
        let listen = "listen = \"127.0.0.1:1\"";
        runner.reload(&format!("check_interval = 0.05\nconcurrent = {concurrent}\n{listen}\n")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!((slots().await - slots_expected).abs() < 0.1, "{concurrent}");
    }
    assert_eq!(runner.last_changes().1.as_deref(), Some("listen"));
    fs::write(gate, "").unwrap();
    assert_eq!(runner.world.answer(&id).await["isPassed"], true);
    assert_eq!(get(address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn equal_values_are_no_change() {
    let mut runner = Reloading::with("check_interval = 0.05\ntimeout = 600\nmemory = \"1G\"\n").await;
    let work = runner.world.folder().join("state/work");
    let same = [
        "check_interval = \"50ms\"\ntimeout = \"10m\"\nmemory = \"1024M\"\n".to_owned(),
        "check_interval = 0.05\nmemory = \"1G\"\nlogger_level = \"info\"\nauth = \"no\"\n".to_owned(),
        format!(
            "check_interval = 0.050\nmemory = \"1G\"\ndrain_timeout = \"10m\"\nwork_dir = \"{}\"\ncpus = 1.0\n",
            work.display()
        ),
    ];
    for settings in same {
        runner.reload(&settings).await;
        assert_eq!(runner.last_changes(), (None, None), "{settings}");
    }
    let more = "check_interval = 0.05\nmemory = \"1G\"\n";
    runner.reload(&format!("{more}logger_level = \"debug\"\ndrain_timeout = \"1m\"\n")).await;
    assert_eq!(
        runner.last_changes().0.as_deref(),
        Some("drain_timeout 600 s -> 1m, logger_level info -> debug")
    );
    runner.reload(&format!("{more}attempts = 4\n")).await;
    let changed = "drain_timeout 1m -> 600 s, attempts 3 -> 4, logger_level debug -> info";
    assert_eq!(runner.last_changes().0.as_deref(), Some(changed));
}

#[test]
fn documents_settings_that_change_on_reload() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let all = ostest_runner::config::running::CHANGEABLE.iter().chain(&["logger_level"]);
    let missing: Vec<_> = all.filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
