//! Tests of the poll loop: its interval, its number of tasks, and its stop.

use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind, Settings};
use nix::sys::signal::Signal;

use crate::support::{PASS, World, eventually, running};

fn claims(world: &World) -> usize {
    world.backend.requests().iter().filter(|request| request.endpoint == Some(Endpoint::Claim)).count()
}

#[tokio::test]
async fn idle_runner_polls_once_per_interval() {
    let world = World::with(Settings::default(), &["--concurrent", "8", "--check-interval", "500ms"]).await;
    eventually("the runner polls", || claims(&world) > 0).await;
    let before = claims(&world);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let polls = claims(&world) - before;
    assert!((5..=7).contains(&polls), "{polls} polls in six intervals");
}

#[tokio::test]
async fn polls_at_once_after_task() {
    let world = World::with(Settings::default(), &["--check-interval", "20", "--concurrent", "1"]).await;
    let ids: Vec<_> = (0..3).map(|_| world.submit(PASS)).collect();
    let started = Instant::now();
    for id in &ids {
        world.answer(id).await;
    }
    assert!(started.elapsed() < Duration::from_secs(18), "the runner waited for the interval between tasks");
}

#[tokio::test]
async fn claims_only_for_free_slots() {
    let world = World::with(Settings::default(), &["--concurrent", "2"]).await;
    let ids: Vec<_> = (0..5).map(|_| world.submit(&format!("sleep 1; {PASS}"))).collect();
    let claimed = || {
        world
            .backend
            .attempts()
            .iter()
            .filter(|attempt| attempt.status != mock_backend::Status::Pending)
            .count()
    };
    eventually("two tasks are claimed", || claimed() == 2).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(claimed(), 2, "a third task was claimed while both slots were busy");
    for id in &ids {
        assert_eq!(world.answer(id).await["isPassed"], true);
    }
    world.assert_clean();
}

#[tokio::test]
async fn same_id_runs_once_at_a_time() {
    let world = World::start().await;
    let id = world.submit(&format!("sleep 1; {PASS}"));
    eventually("the task runs", || world.runner.logged("task_started")).await;
    let attempt =
        world.backend.attempts().into_iter().find(|attempt| attempt.id.as_ref() == Some(&id)).unwrap();
    world.backend.submit_raw(attempt.claim.clone());
    eventually("the duplicate is logged", || world.runner.logged("task_duplicate")).await;
    let answers = || world.backend.results().iter().filter(|stored| stored.id == id).count();
    eventually("the first claim is answered", || answers() == 1).await;
    world.backend.submit_raw(attempt.claim);
    eventually("the task runs again", || answers() == 2).await;
}

#[tokio::test]
async fn same_id_may_return_during_cleanup() {
    let world = World::start().await;
    let id = world.submit(&format!("seq 40000 | xargs touch; {PASS}"));
    let answers = || world.backend.results().iter().filter(|stored| stored.id == id).count();
    eventually("the task is answered", || answers() == 1).await;
    let left = std::fs::read_dir(world.work()).unwrap().count();
    let attempt =
        world.backend.attempts().into_iter().find(|attempt| attempt.id.as_ref() == Some(&id)).unwrap();
    world.backend.submit_raw(attempt.claim);
    assert_eq!(left, 1, "the delivery waited for the removal of the folder");
    eventually("the task runs again", || answers() == 2).await;
    world.assert_clean();
}

#[tokio::test]
async fn sigterm_while_idle_exits_at_once() {
    let mut world = World::with(Settings::default(), &["--check-interval", "30"]).await;
    eventually("the runner polls", || claims(&world) > 0).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn first_signal_drains_second_interrupts() {
    let mut world = World::start().await;
    let id = world.submit(&format!("sleep 2; {PASS}"));
    eventually("the task runs", || world.runner.logged("task_started")).await;
    world.runner.signal(Signal::SIGTERM);
    eventually("the runner drains", || world.runner.logged("draining")).await;
    let late = world.submit(PASS);
    assert_eq!(world.answer(&id).await["isPassed"], true, "the running task did not finish");
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    assert!(world.backend.result_of(&late).is_none(), "a task was claimed during the drain");

    let mut world = World::start().await;
    let mark = format!("mark-{}", fastrand::u64(..));
    let id = world.submit(&format!("MARK={mark} sleep 300"));
    eventually("the task runs", || running(&mark)).await;
    world.runner.signal(Signal::SIGINT);
    world.runner.signal(Signal::SIGINT);
    eventually("the runner drains", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGINT);
    let ended = world.runner.ended(Duration::from_secs(10)).await;
    assert!(ended.success() || ended.code() == Some(130), "{ended:?}");
    eventually("the task's processes have ended", || !running(&mark)).await;
    drop(id);
}

#[tokio::test]
async fn reports_interrupted_task() {
    let mut world = World::start().await;
    let id = world.submit("sleep 300");
    eventually("the task runs", || world.runner.logged("task_started")).await;
    world.runner.signal(Signal::SIGTERM);
    eventually("the runner drains", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGTERM);
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true);
    assert!(world.fault(&id).ends_with("/interruption"), "{answer}");
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    world.assert_clean();
}

#[tokio::test]
async fn drain_waits_for_claim_in_flight() {
    let mut world = World::with(Settings::default(), &["--check-interval", "100ms"]).await;
    eventually("the runner polls", || claims(&world) > 0).await;
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::Late(Duration::from_secs(1))));
    let id = world.submit(PASS);
    eventually("the claim is in flight", || world.backend.faults().is_empty()).await;
    world.runner.signal(Signal::SIGTERM);
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
}

#[tokio::test]
async fn killed_runner_leaves_no_process() {
    let world = World::start().await;
    let mark = format!("mark-{}", fastrand::u64(..));
    world.submit(&format!("export MARK={mark}; (setsid sleep 300 &); sleep 300"));
    eventually("the task runs", || running(&mark)).await;
    world.runner.signal(Signal::SIGKILL);
    let started = Instant::now();
    eventually("the task's processes have ended", || !running(&mark)).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn incomplete_claim_is_answered_or_logged() {
    let world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::CutBody));
    let cut = world.submit(PASS);
    let answer = world.answer(&cut).await;
    assert_eq!(answer["isError"], true, "the claim with an id has no error: {answer}");
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::DropAfter));
    world.submit(PASS);
    eventually("the event is logged", || world.runner.logged("claim_possibly_lost")).await;
    let next = world.submit(PASS);
    assert_eq!(world.answer(&next).await["isPassed"], true);
}

#[tokio::test]
async fn mock_executor_runs_nothing() {
    let world = World::with(Settings::default(), &["--mock", "--tests-url", "/no/such/suite"]).await;
    let task = |name: &str| mock_backend::NewTask::new(&format!("https://example.org/{name}.git"), "main");
    let passes = world.backend.submit(task("student-passes"));
    let fails = world.backend.submit(task("student-fails"));
    assert_eq!(world.answer(&passes).await["isPassed"], true);
    assert_eq!(world.answer(&fails).await["isPassed"], false);
    world.assert_clean();
}
