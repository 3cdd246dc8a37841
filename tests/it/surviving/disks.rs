//! Tests of claims that the runner cannot write to disk.

use std::fs;
use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, Settings};
use nix::sys::signal::Signal;

use crate::support::{PASS, Runner, SmallDisk, World, eventually};

#[tokio::test]
async fn full_disk_stops_claims_until_freed() {
    let Some(disk) = SmallDisk::new("64M") else { return };
    let world = World::with(Settings::default(), &["--mock"]).await;
    let suite = format!("file://{}/suite", world.folder().display());
    let arguments = ["--allow-local-repositories", "--tests-url", &suite, "--check-interval", "100ms"];
    let other = mock_backend::MockBackend::start(Settings::default()).await.unwrap();
    let runner = Runner::start(disk.path(), &other.url(), &arguments);
    eventually("the runner polls", || !other.requests().is_empty()).await;
    let filler = disk.fill();
    let student = crate::support::student(&world.fresh("student"), PASS);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = other.requests().len();
    let id = other.submit(mock_backend::NewTask::new(&student.url(), "main"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(other.requests().len(), before, "the runner polled without disk space for a claim");
    fs::remove_file(filler).unwrap();
    let answered =
        other.wait_for("the answer", Duration::from_secs(90), |backend| backend.result_of(&id)).await;
    assert!(answered.is_ok(), "{}", runner.log());
}

/// Starts a world whose runner could not write its claim to the spool, and runs the task nevertheless.
async fn start_with_unspooled_claim(arguments: &[&str], script: &str) -> (World, mock_backend::TaskId) {
    let world = World::with(Settings::default(), arguments).await;
    // The runner reserves a slot in the spool before the request and fills it after the answer. Remove the slot meanwhile.
    let delay = Duration::from_secs(2);
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::Delay(delay)));
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(503)).forever());
    let id = world.submit(script);
    let before = world.backend.requests().len();
    eventually("the runner polls", || world.backend.requests().len() > before).await;
    tokio::time::sleep(delay / 4).await;
    let claimed = world.folder().join("state/spool/claimed");
    fs::rename(&claimed, world.fresh("claimed")).unwrap();
    eventually("the event is logged", || world.runner.logged("claim_unspooled")).await;
    fs::create_dir(claimed).unwrap();
    (world, id)
}

#[tokio::test]
async fn undelivered_unspooled_result_is_logged() {
    let (mut world, id) = start_with_unspooled_claim(&[], PASS).await;
    eventually("a delivery has failed", || world.runner.logged("delivery_retried")).await;
    assert!(!world.runner.logged("result_lost"));
    world.runner.signal(Signal::SIGTERM);
    world.runner.ended(Duration::from_secs(20)).await;
    assert!(world.runner.logged("stopped_with_unspooled") && !world.runner.logged("stopped_clean"));
    let [lost] = world.runner.events("result_lost").try_into().unwrap();
    assert_eq!(lost["task.id"], id.to_string().trim_matches('"'));
    let body: serde_json::Value = serde_json::from_str(lost["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["isPassed"], true);
}

#[tokio::test]
async fn unspooled_task_is_answered_not_resumed() {
    let (mut world, id) = start_with_unspooled_claim(&["--on-interrupt", "resume"], "sleep 300").await;
    eventually("the task runs", || world.runner.logged("checked_out")).await;
    world.backend.clear_faults();
    world.runner.signal(Signal::SIGTERM);
    eventually("the runner drains", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGTERM);
    world.runner.ended(Duration::from_secs(20)).await;
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true, "{answer}");
}
