//! Tests of intervals and deadlines that SIGHUP changes.

use std::fs;
use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind};
use nix::sys::signal::Signal;

use super::fixture::Reloading;
use crate::support::{PASS, eventually};

#[tokio::test]
async fn new_interval_applies_at_once() {
    let mut runner = Reloading::with("check_interval = 300\n").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(runner.claims(), 1);
    runner.reload("check_interval = 0.05\n").await;
    eventually("the runner polls often", || runner.claims() > 5).await;
    runner.reload("check_interval = 300\n").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let claims = runner.claims();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(runner.claims() <= claims + 1);
}

#[tokio::test]
async fn new_timeout_applies_to_new_tasks() {
    let mut runner = Reloading::with("check_interval = 0.05\ntimeout = \"10m\"\ngrace = 1\n").await;
    let (old, gate) = runner.submit_gated();
    runner.assert_claimed(1).await;
    runner.reload("check_interval = 0.05\ntimeout = 1\ngrace = 1\n").await;
    let (new, _) = runner.submit_gated();
    let answer = runner.world.answer(&new).await;
    assert_eq!(runner.world.fault(&new), "execute/limit", "{answer}");
    fs::write(gate, "").unwrap();
    assert_eq!(runner.world.answer(&old).await["isPassed"], true);
}

#[tokio::test]
async fn drain_timeout_can_be_shortened() {
    let mut runner = Reloading::with("check_interval = 0.05\ndrain_timeout = 0\ngrace = 1\n").await;
    let (id, _) = runner.submit_gated();
    runner.assert_claimed(1).await;
    runner.world.runner.signal(Signal::SIGTERM);
    eventually("the runner drains", || runner.world.runner.logged("draining")).await;
    runner.reload("check_interval = 0.05\ndrain_timeout = 0.2\ngrace = 1\n").await;
    assert!(runner.world.runner.ended(Duration::from_secs(10)).await.success());
    let answer = runner.world.answer(&id).await;
    assert!(runner.world.fault(&id).ends_with("/interruption"), "{answer}");
}

#[tokio::test]
async fn new_request_timeouts_apply() {
    let mut runner = Reloading::with("check_interval = 0.05\n").await;
    runner.reload("check_interval = 0.05\nclaim_timeout = 0.3\nrequest_timeout = 0.4\n").await;
    let fault = |endpoint| Fault::new(endpoint, FaultKind::Delay(Duration::from_secs(8)));
    runner.world.backend.fault(fault(Endpoint::Claim));
    let started = Instant::now();
    eventually("the claim times out", || {
        runner.world.runner.logged("claim_failed") || runner.world.runner.logged("claim_possibly_lost")
    })
    .await;
    // On a busy machine this short timeout could lose a claimed task.
    runner.reload("check_interval = 0.05\nclaim_timeout = 9\nrequest_timeout = 0.4\n").await;
    runner.world.backend.fault(fault(Endpoint::Result));
    runner.world.submit(PASS);
    eventually("the delivery is retried", || runner.world.runner.logged("delivery_retried")).await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}
