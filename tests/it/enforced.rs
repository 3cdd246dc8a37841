//! Tests that `/status`, the page, the metrics and the kept report name the same sandbox features as the log.

use std::fs;

use mock_backend::Settings;
use serde_json::Value;

use crate::observing::{address, get, page, status};
use crate::sandbox::last_kept;
use crate::support::{PASS, World, eventually, have};

/// A user without privileges, who owns no control group.
const USER: u32 = 65_528;

async fn features_agree_at(sandbox: &str, user: Option<u32>) -> Value {
    let world = World::with(Settings::default(), &["--listen", "127.0.0.1:0"]).await;
    let world = world.confined(sandbox, user);
    let chosen = world.runner.logs("sandbox_chosen").await;
    let features = chosen["enforced"].as_str().unwrap().to_owned();
    let level = if sandbox == "auto" { "bwrap" } else { sandbox };
    assert_eq!(chosen["field.level"], level);
    let address = address(&world.runner).await;
    let status = status(address).await;
    assert_eq!(
        (&status["sandbox"]["level"], &status["sandbox"]["enforced"]),
        (&level.into(), &features.as_str().into())
    );
    let page = page(address).await;
    assert!(page.contains(&format!(">{level}<")) && page.contains(&features), "{features}\n{page}");
    let metrics = get(address, "/metrics").await.1;
    let line = metrics.lines().find(|line| line.starts_with("ostest_runner_sandbox_info{")).unwrap();
    for (feature, how) in features.split(' ').filter_map(|word| word.split_once('=')) {
        assert!(line.contains(&format!("{}=\"{how}\"", feature.replace('-', "_"))), "{feature}: {line}");
    }
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let kept = world.folder().join("state/kept");
    eventually("the report is kept", || fs::read_dir(&kept).is_ok_and(|mut all| all.next().is_some())).await;
    let about = last_kept(&kept).join("about.json");
    eventually("about.json is complete", || fs::read(&about).is_ok_and(|text| text.ends_with(b"}\n"))).await;
    let about: Value = serde_json::from_slice(&fs::read(about).unwrap()).unwrap();
    assert_eq!((&about["sandbox"], &about["enforced"]), (&level.into(), &features.as_str().into()));
    let method = features.split(' ').find_map(|word| word.strip_prefix("memory=")).unwrap();
    assert_eq!(about["memory_method"], method, "{features}");
    about
}

#[tokio::test]
async fn enforced_features_agree_everywhere() {
    if !have("bwrap", "bubblewrap") {
        return;
    }
    for sandbox in ["auto", "basic", "none"] {
        features_agree_at(sandbox, None).await;
    }
}

#[tokio::test]
async fn kept_report_names_memory_method() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("\n!!! SKIPPED: only root can start a runner as another user\n");
        return;
    }
    assert_eq!(features_agree_at("basic", Some(USER)).await["memory_method"], "sampled");
    // Control groups measure memory if root can create them on this machine.
    let groups =
        fs::read_to_string("/proc/self/mounts").unwrap().contains(" /sys/fs/cgroup/memory cgroup rw,");
    if groups {
        assert_eq!(features_agree_at("basic", None).await["memory_method"], "cgroup-v1");
    }
}
