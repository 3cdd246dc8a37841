//! Tests of planned stops, and of a second runner on the same state folder.

use std::fs;
use std::time::Duration;

use mock_backend::Settings;
use nix::sys::signal::Signal;

use super::spool::{spool, wait_for_empty_spool};
use crate::support::{PASS, World, eventually};

#[tokio::test]
async fn second_runner_names_first_and_exits() {
    let world = World::start().await;
    eventually("the runner polls", || !world.backend.requests().is_empty()).await;
    let mut second = world.second_runner();
    assert_eq!(second.ended(Duration::from_secs(5)).await.code(), Some(2));
    let error = second.log();
    assert!(error.contains(&world.runner.pid().to_string()), "{error}");
}

#[tokio::test]
async fn interrupted_task_can_be_resumed() {
    let mut world = World::with(Settings::default(), &["--on-interrupt", "resume"]).await;
    let flag = world.fresh("second-time");
    let id = world.submit(&format!("test -e {0} || {{ touch {0}; sleep 300; }}; {PASS}", flag.display()));
    eventually("the task runs", || flag.exists()).await;
    world.runner.signal(Signal::SIGTERM);
    eventually("the runner drains", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(15)).await.success());
    assert!(world.backend.result_of(&id).is_none(), "the task was answered, not kept for a resume");
    let kept = fs::read_to_string(&spool(&world, "claimed")[0]).unwrap();
    assert!(kept.contains("\"starts\": 0"), "a planned stop counts as a start: {kept}");
    world.restart();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    wait_for_empty_spool(&world).await;
}

#[tokio::test]
async fn waiting_for_token_does_not_delay_stop() {
    let settings = Settings { auth: true, users: vec![], ..Settings::default() };
    let mut world = World::with(settings, &["--auth"]).await;
    eventually("the login is refused", || world.runner.logged("login_refused")).await;
    eventually("the runner waits for a token", || world.runner.logged("suite_ready")).await;
    let started = std::time::Instant::now();
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}
