//! Tests of `/healthz`, `/readyz` and `runner healthcheck`.

use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, Settings};

use super::http::{LISTEN, address, becomes, get, value};
use crate::support::{PASS, SmallDisk, World, command, eventually, scripted_suite};

#[tokio::test]
async fn lost_backend_makes_unready_but_healthy() {
    let world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await;
    becomes(address, "/readyz", 200, "ok suite: ").await;
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::status(502)).times(4));
    becomes(address, "/readyz", 503, "failing backend: ").await;
    becomes(address, "/readyz", 200, "ok backend").await;
    world.backend.go_down().await;
    becomes(address, "/readyz", 503, "failing backend: /api/task/available").await;
    assert_eq!(get(address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn ready_from_warm_up_until_drain() {
    let folder = tempfile::tempdir().unwrap();
    let absent = format!("file://{}/suite", folder.path().display());
    let mut world =
        World::with(Settings::default(), &[&LISTEN[..], &["--tests-url", &absent]].concat()).await;
    let address = address(&world.runner).await;
    becomes(address, "/readyz", 503, "failing suite: ").await;
    becomes(address, "/readyz", 503, "failing loop: ").await;
    // The runner does not poll before its suite is ready.
    becomes(address, "/readyz", 503, "ok credentials: ").await;
    becomes(address, "/healthz", 200, "ok loop: ").await;
    scripted_suite(&folder.path().join("suite"));
    becomes(address, "/readyz", 200, "ok loop").await;
    let id = world.submit(&format!("sleep 2; {PASS}"));
    eventually("the task runs", || world.runner.logged("task_started")).await;
    world.runner.signal(nix::sys::signal::Signal::SIGTERM);
    becomes(address, "/readyz", 503, "failing loop: ").await;
    becomes(address, "/healthz", 200, "ok loop: ").await;
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(world.runner.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn full_disk_is_unhealthy_until_freed() {
    let Some(disk) = SmallDisk::new("40m") else { return };
    let state = disk.path().join("state");
    let work = tempfile::tempdir().unwrap();
    let arguments =
        [&LISTEN[..], &["--state-dir", state.to_str().unwrap(), "--work-dir", work.path().to_str().unwrap()]]
            .concat();
    let world = World::with(Settings::default(), &arguments).await;
    let address = address(&world.runner).await;
    becomes(address, "/healthz", 200, "ok disk").await;
    becomes(address, "/readyz", 200, "ok disk").await;
    let filled = disk.fill();
    becomes(address, "/healthz", 503, "failing disk: ").await;
    becomes(address, "/readyz", 503, "failing disk: ").await;
    assert!(value(&get(address, "/metrics").await.1, "ostest_runner_polls_total{outcome=\"no_room\"}") > 0.0);
    let check = healthcheck(&["--url", &format!("http://{address}")]);
    assert_eq!(check.0, Some(1), "{}", check.1);
    std::fs::remove_file(filled).unwrap();
    becomes(address, "/healthz", 200, "ok disk").await;
}

fn healthcheck(arguments: &[&str]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    // The health check must not use a proxy.
    let proxy = ("http_proxy", "http://127.0.0.1:1");
    let output =
        command(home.path()).env(proxy.0, proxy.1).arg("healthcheck").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn healthcheck_asks_running_runner() {
    let mut world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await.to_string();
    assert_eq!(healthcheck(&["--listen", &address]), (Some(0), String::new()));
    assert_eq!(
        healthcheck(&["--listen", &address.replace("127.0.0.1", "0.0.0.0")]),
        (Some(0), String::new())
    );
    assert_eq!(healthcheck(&["--url", &format!("http://{address}/healthz")]), (Some(0), String::new()));
    let (code, message) = healthcheck(&[]);
    assert_eq!((code, message.lines().count()), (Some(2), 1), "{message}");
    assert!(message.contains("--listen"), "{message}");
    world.runner.signal(nix::sys::signal::Signal::SIGSTOP);
    let (code, message) = healthcheck(&["--listen", &address]);
    assert_eq!((code, message.lines().count()), (Some(1), 1), "{message}");
    world.runner.kill();
    let (code, message) = healthcheck(&["--listen", &address]);
    assert_eq!((code, message.lines().count()), (Some(1), 1), "{message}");
}
