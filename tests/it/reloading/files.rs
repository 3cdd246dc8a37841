//! Tests of wrong and unreadable files: the runner keeps its settings.

use std::fs;

use nix::sys::signal::Signal;

use super::fixture::Reloading;
use crate::support::{PASS, eventually};

#[tokio::test]
async fn wrong_file_changes_nothing() {
    let mut runner = Reloading::with("check_interval = 0.05\nconcurrent = 1\n").await;
    let before = runner.log().lines().count();
    runner.write_and_hang_up("check_interval = 60\nlogger_level = \"debug\"\nconcurrent = 0\n");
    eventually("the event is logged", || runner.world.runner.logged("reload_failed")).await;
    assert_eq!(runner.log().lines().count(), before + 1);
    let [failed] = runner.events("reload_failed").try_into().unwrap();
    assert_eq!(failed["level"], "error");
    let place = format!("{}:8: concurrent: ", runner.file.display());
    assert!(failed["error"].as_str().unwrap().contains(&place), "{failed}");
    let claims = runner.claims();
    eventually("the runner polls as before", || runner.claims() > claims + 5).await;
    let tasks = [runner.submit_gated(), runner.submit_gated()];
    runner.assert_claimed(1).await;
    fs::remove_file(&runner.file).unwrap();
    runner.world.runner.signal(Signal::SIGHUP);
    eventually("the second failure is logged", || runner.events("reload_failed").len() == 2).await;
    for (id, gate) in &tasks {
        fs::write(gate, "").unwrap();
        runner.world.answer(id).await;
    }
    assert!(!runner.has_level("debug"));
    runner.reload("check_interval = 0.05\nconcurrent = 1\n").await;
    assert_eq!(runner.last_changes(), (None, None));
}

#[tokio::test]
async fn unreadable_password_keeps_old_one() {
    let secret = tempfile::tempdir().unwrap();
    let path = secret.path().join("password");
    fs::write(&path, "dora_explorer").unwrap();
    let settings = format!("check_interval = 0.05\nauth = true\npassword_file = \"{}\"\n", path.display());
    let mut runner = Reloading::with(&settings).await;
    for again in [None, Some("")] {
        match again {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
        }
        let before = runner.events("reload_password_failed").len();
        runner.reload(&settings).await;
        let after = || runner.events("reload_password_failed");
        eventually("the event is logged", || after().len() == before + 1).await;
        let failed = after().pop().unwrap();
        let place = format!("--password-file {}: ", path.display());
        assert!(failed["level"] == "error" && failed["error"].as_str().unwrap().contains(&place), "{failed}");
    }
    runner.world.answer(&runner.world.submit(PASS)).await;
}
