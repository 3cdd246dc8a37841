//! The runner is killed at every step of a task's way, each found from outside: by the spool's files, the backend's
//! requests, the task's folder and its processes. Then it is started again on the same state, and the answer must come,
//! once, with the truth, and leave nothing.
//!
//! Each point is struck twice; `RUNNER_TEST_CRASH_ROUNDS=100 cargo test --test it crash_points` strikes as often as
//! one has time for.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, MockBackend, TaskId};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::support::{PATIENCE, World, running};

/// What may arrive besides the one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duplicates {
    /// Nothing.
    None,
    /// The same bytes once more: the runner died before it knew that the backend has them.
    Same,
}

/// A task in a world whose runner is about to die.
struct Scene<'a> {
    world: &'a World,
    /// Is in the environment of everything that the task starts.
    mark: &'a str,
    /// The script writes a line into it each time it runs.
    runs: &'a Path,
    /// Requests of earlier rounds.
    before: usize,
}

impl Scene<'_> {
    fn spool(&self, place: &str) -> usize {
        names(&self.world.folder().join("state/spool").join(place)).len()
    }

    /// The task's own folder, once it is there.
    fn task_folder(&self) -> Option<PathBuf> {
        let work = self.world.work();
        names(&work).into_iter().find(|name| name.starts_with("task-")).map(|name| work.join(name))
    }

    fn in_task_folder(&self, path: &str) -> bool {
        self.task_folder().is_some_and(|folder| folder.join(path).exists())
    }

    /// Whether the backend has met a request of this round that suffered this fault.
    fn struck(&self, endpoint: Endpoint) -> bool {
        let requests = self.world.backend.requests();
        requests.iter().skip(self.before).any(|request| {
            request.endpoint == Some(endpoint) && (endpoint == Endpoint::Result || request.status.is_none())
        })
    }
}

/// Whether the script of a task has begun; its file is there a moment before its line is.
fn begun(runs: &Path) -> bool {
    fs::read(runs).is_ok_and(|text| text.ends_with(b"\n"))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn rounds() -> usize {
    let asked = std::env::var("RUNNER_TEST_CRASH_ROUNDS").ok();
    asked.map_or(2, |asked| asked.parse().expect("RUNNER_TEST_CRASH_ROUNDS is a number"))
}

/// Kills the runner as soon as `reached` says so, as often as asked for, and looks at what comes of it. `faults` hold
/// the step open, or make it happen.
async fn die_when(
    what: &str,
    faults: &[Fault],
    duplicates: Duplicates,
    mut reached: impl FnMut(&Scene<'_>) -> bool,
) {
    let mut world = World::start().await;
    world.backend.wait_for_requests("it asks", PATIENCE, |requests| !requests.is_empty()).await.unwrap();
    for round in 0..rounds() {
        let mark = format!("mark-{}", fastrand::u64(..));
        let runs = world.fresh("runs");
        let before = world.backend.requests().len();
        for fault in faults {
            world.backend.fault(fault.clone());
        }
        let id = world.submit(&script(&mark, &runs));
        let scene = Scene { world: &world, mark: &mark, runs: &runs, before };
        soon(&format!("round {round}: {what}"), || reached(&scene)).await;
        world.runner.kill();
        // The supervisors end everything within a second; the rest is for a busy machine.
        let end = Instant::now() + Duration::from_secs(3);
        while running(&mark) {
            assert!(Instant::now() < end, "{what}: a process outlives the killed runner");
            sleep(Duration::from_millis(10)).await;
        }
        world.backend.clear_faults();
        world.restart();
        let answer = world.answer(&id).await;
        assert_eq!(answer["isPassed"], true, "{what}, round {round}: {answer}\n{}", world.runner.log());
        nothing_is_left(&mut world, what, &mark).await;
        once(&world.backend, &id, duplicates, what);
        world.restart();
    }
}

/// Passes after a while; leaves a daemon in a session of its own, which must not outlive anything.
fn script(mark: &str, runs: &Path) -> String {
    format!(
        "export MARK={mark}; echo x >> {}; (setsid sleep 300 &); sleep 0.1; printf %s \"$PASS\" > \"$REPORT\"; sleep 0.2",
        runs.display()
    )
}

/// Looks far more often than a task takes for a step.
async fn soon(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "never met: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Stops the runner and looks for processes, folders and files.
async fn nothing_is_left(world: &mut World, what: &str, mark: &str) {
    // It has not learned yet that the answer had come before its start; and it hears signals only once it runs.
    let spool = world.folder().join("state/spool");
    let waiting = || names(&spool.join("claimed")).len() + names(&spool.join("results")).len();
    soon(&format!("{what}: the spool is empty"), || world.runner.logged("runner_started") && waiting() == 0)
        .await;
    world.runner.signal(Signal::SIGTERM);
    let status = world.runner.ended(PATIENCE).await;
    assert!(status.success(), "{what}: {status}");
    assert!(!running(mark), "{what}: a process is left");
    world.assert_clean();
    for place in ["claimed", "results", "rejected", "aside", "unfinished"] {
        let left = names(&world.folder().join("state/spool").join(place));
        assert!(left.is_empty(), "{what}: spool/{place} holds {left:?}");
    }
}

fn once(backend: &MockBackend, id: &TaskId, duplicates: Duplicates, what: &str) {
    let stored = backend.result_of(id).unwrap();
    assert_eq!(stored.versions.len(), 1, "{what}: two answers that differ");
    let most = if duplicates == Duplicates::Same { 2 } else { 1 };
    assert!(stored.deliveries <= most, "{what}: answered {} times", stored.deliveries);
}

fn delay(endpoint: Endpoint, milliseconds: u64) -> Fault {
    Fault::new(endpoint, FaultKind::Delay(Duration::from_millis(milliseconds)))
}

#[tokio::test]
async fn while_claiming() {
    // Nothing is handed out: what the backend hands to the dead is lost by the contract.
    let faults = [delay(Endpoint::Claim, 300), Fault::new(Endpoint::Claim, FaultKind::DropBefore)];
    die_when("a question is on its way", &faults, Duplicates::None, |scene| scene.struck(Endpoint::Claim))
        .await;
}

#[tokio::test]
async fn after_claim_is_on_disk() {
    die_when("claimed/ holds it", &[], Duplicates::None, |scene| scene.spool("claimed") == 1).await;
}

#[tokio::test]
async fn after_task_folder_exists() {
    die_when("task-* is there", &[], Duplicates::None, |scene| scene.task_folder().is_some()).await;
}

#[tokio::test]
async fn after_checkout_started() {
    die_when("checkout/src/ is there", &[], Duplicates::None, |scene| scene.in_task_folder("checkout/src"))
        .await;
}

#[tokio::test]
async fn after_checkout_finished() {
    die_when("checkout/src/run.sh is there", &[], Duplicates::None, |scene| {
        scene.in_task_folder("checkout/src/run.sh")
    })
    .await;
}

#[tokio::test]
async fn after_suite_is_copied() {
    die_when("suite/ is there", &[], Duplicates::None, |scene| scene.in_task_folder("suite")).await;
}

#[tokio::test]
async fn while_suite_runs() {
    die_when("its script runs", &[], Duplicates::None, |scene| begun(scene.runs) && running(scene.mark))
        .await;
}

#[tokio::test]
async fn after_report_is_written() {
    die_when("report.xml is there", &[], Duplicates::None, |scene| scene.in_task_folder("out/report.xml"))
        .await;
}

#[tokio::test]
async fn after_suite_ended() {
    let mut seen = HashSet::new();
    die_when("its processes are gone", &[], Duplicates::Same, |scene| {
        let runs = running(scene.mark);
        if runs {
            seen.insert(scene.mark.to_owned());
        }
        !runs && seen.contains(scene.mark)
    })
    .await;
}

#[tokio::test]
async fn after_result_is_on_disk() {
    let faults = [delay(Endpoint::Result, 500)];
    die_when("results/ holds it", &faults, Duplicates::Same, |scene| scene.spool("results") == 1).await;
}

#[tokio::test]
async fn after_claim_is_removed() {
    let faults = [delay(Endpoint::Result, 500)];
    let forgotten = |scene: &Scene<'_>| scene.spool("results") == 1 && scene.spool("claimed") == 0;
    die_when("claimed/ is empty again", &faults, Duplicates::Same, forgotten).await;
}

#[tokio::test]
async fn while_result_is_sent() {
    let faults = [delay(Endpoint::Result, 500)];
    die_when("its POST is held", &faults, Duplicates::Same, |scene| scene.struck(Endpoint::Result)).await;
}

#[tokio::test]
async fn after_backend_stored_unconfirmed_result() {
    let faults = [Fault::new(Endpoint::Result, FaultKind::Late(Duration::from_secs(20)))];
    let stored = |scene: &Scene<'_>| {
        let attempts = scene.world.backend.attempts();
        attempts.last().is_some_and(|attempt| attempt.result.is_some())
    };
    die_when("it is stored, and not confirmed", &faults, Duplicates::Same, stored).await;
}

#[tokio::test]
async fn while_delivery_waits_for_retry() {
    let faults = [Fault::new(Endpoint::Result, FaultKind::retry_after(503, 200)).forever()];
    die_when("the backend has turned it away", &faults, Duplicates::None, |scene| {
        let requests = scene.world.backend.requests();
        requests.iter().skip(scene.before).any(|request| request.status == Some(503))
    })
    .await;
}

#[tokio::test]
async fn after_result_is_delivered() {
    let mut seen = HashSet::new();
    die_when("results/ is empty again", &[], Duplicates::Same, |scene| {
        let holds = scene.spool("results") == 1;
        if holds || scene.world.backend.result_of(&last(&scene.world.backend)).is_some() {
            seen.insert(scene.mark.to_owned());
        }
        !holds && seen.contains(scene.mark)
    })
    .await;
}

fn last(backend: &MockBackend) -> TaskId {
    backend.attempts().pop().and_then(|attempt| attempt.id).unwrap()
}

#[tokio::test]
async fn while_draining() {
    let mut told = HashSet::new();
    die_when("it was told to stop while the suite runs", &[], Duplicates::None, |scene| {
        if !begun(scene.runs) {
            return false;
        }
        if told.insert(scene.mark.to_owned()) {
            scene.world.runner.signal(Signal::SIGTERM);
        }
        scene.world.runner.logged("draining")
    })
    .await;
}

#[tokio::test]
async fn while_resuming_after_earlier_crash() {
    let mut world = World::start().await;
    for round in 0..rounds() {
        let (mark, runs) = (format!("mark-{}", fastrand::u64(..)), world.fresh("runs"));
        let id = world.submit(&script(&mark, &runs));
        soon("the suite runs", || begun(&runs)).await;
        // The first death counts for the claim, the later ones meet the runner before it has begun anything.
        world.restart();
        for pause in [0, 1, 5] {
            sleep(Duration::from_millis(pause)).await;
            world.restart();
        }
        let answer = world.answer(&id).await;
        let lines = fs::read_to_string(&runs).unwrap().lines().count();
        assert_eq!((answer["isPassed"].as_bool(), lines), (Some(true), 2), "round {round}: {answer}");
        nothing_is_left(&mut world, "recovery", &mark).await;
        once(&world.backend, &id, Duplicates::None, "recovery");
        world.restart();
    }
}
