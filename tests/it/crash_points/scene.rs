//! A runner that is killed at one point, and the checks after its restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, MockBackend, TaskId};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::support::{PATIENCE, World, running};

/// Deliveries that the backend may receive besides the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// No further delivery.
    None,
    /// The same bytes once more, because the runner was killed before it received the confirmation.
    Same,
}

/// A task in a world whose runner will be killed.
pub struct Scene<'a> {
    /// The world of the task.
    pub world: &'a World,
    /// A mark in the environment of all the task's processes.
    pub mark: &'a str,
    /// A file to which each run of the script appends a line.
    pub runs: &'a Path,
    /// Number of requests of earlier rounds.
    pub before: usize,
}

impl Scene<'_> {
    /// Number of files in a folder of the spool.
    pub fn spool(&self, place: &str) -> usize {
        names(&self.world.folder().join("state/spool").join(place)).len()
    }

    /// The task's folder, if it exists.
    pub fn task_folder(&self) -> Option<PathBuf> {
        let work = self.world.work();
        names(&work).into_iter().find(|name| name.starts_with("task-")).map(|name| work.join(name))
    }

    /// Whether the task's folder has this file or folder.
    pub fn in_task_folder(&self, path: &str) -> bool {
        self.task_folder().is_some_and(|folder| folder.join(path).exists())
    }

    /// Whether the backend has received a request of this round to which the fault applies.
    pub fn received_fault(&self, endpoint: Endpoint) -> bool {
        let requests = self.world.backend.requests();
        requests.iter().skip(self.before).any(|request| {
            request.endpoint == Some(endpoint) && (endpoint == Endpoint::Result || request.status.is_none())
        })
    }
}

/// Whether a task's script has started. The line is checked, because the file exists a moment earlier.
pub fn script_started(runs: &Path) -> bool {
    fs::read(runs).is_ok_and(|text| text.ends_with(b"\n"))
}

/// Names of the entries of a folder; empty if there is no such folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Number of kills per test.
pub fn rounds() -> usize {
    let rounds = std::env::var("RUNNER_TEST_CRASH_ROUNDS").ok();
    rounds.map_or(2, |rounds| rounds.parse().expect("RUNNER_TEST_CRASH_ROUNDS is a number"))
}

/// In each round, kills the runner as soon as `reached` is true, restarts it, and checks the answer and the leftovers.
/// `faults` prolong the point in question or cause it.
pub async fn kill_when(
    what: &str,
    faults: &[Fault],
    duplicates: Duplicates,
    mut reached: impl FnMut(&Scene<'_>) -> bool,
) {
    let mut world = World::start().await;
    world
        .backend
        .wait_for_requests("the runner polls", PATIENCE, |requests| !requests.is_empty())
        .await
        .unwrap();
    for round in 0..rounds() {
        let mark = format!("mark-{}", fastrand::u64(..));
        let runs = world.fresh("runs");
        let before = world.backend.requests().len();
        for fault in faults {
            world.backend.fault(fault.clone());
        }
        let id = world.submit(&script(&mark, &runs));
        let scene = Scene { world: &world, mark: &mark, runs: &runs, before };
        wait_closely(&format!("round {round}: {what}"), || reached(&scene)).await;
        world.runner.kill();
        // The supervisors need up to 1 s. A busy machine may need 2 s more.
        let end = Instant::now() + Duration::from_secs(3);
        while running(&mark) {
            assert!(Instant::now() < end, "{what}: a process still runs after its runner was killed");
            sleep(Duration::from_millis(10)).await;
        }
        world.backend.clear_faults();
        world.restart();
        let answer = world.answer(&id).await;
        assert_eq!(answer["isPassed"], true, "{what}, round {round}: {answer}\n{}", world.runner.log());
        assert_nothing_left(&mut world, what, &mark).await;
        assert_answered_once(&world.backend, &id, duplicates, what);
        world.restart();
    }
}

/// A script that passes, and leaves a daemon in a separate session, which the runner must kill.
pub fn script(mark: &str, runs: &Path) -> String {
    format!(
        "export MARK={mark}; echo x >> {}; (setsid sleep 300 &); sleep 0.1; printf %s \"$PASS\" > \"$REPORT\"; sleep 0.2",
        runs.display()
    )
}

/// Waits until `reached` is true. Checks every millisecond, so no point of a task is missed.
pub async fn wait_closely(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "the point was not reached: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Stops the runner and asserts that no process, folder or spool file remains.
pub async fn assert_nothing_left(world: &mut World, what: &str, mark: &str) {
    // The runner may have to deliver a result again, and it handles signals only after its start.
    let spool = world.folder().join("state/spool");
    let waiting = || names(&spool.join("claimed")).len() + names(&spool.join("results")).len();
    wait_closely(&format!("{what}: the spool is empty"), || {
        world.runner.logged("runner_started") && waiting() == 0
    })
    .await;
    world.runner.signal(Signal::SIGTERM);
    let status = world.runner.ended(PATIENCE).await;
    assert!(status.success(), "{what}: {status}");
    assert!(!running(mark), "{what}: a process remains");
    world.assert_clean();
    for place in ["claimed", "results", "rejected", "aside", "unfinished"] {
        let left = names(&world.folder().join("state/spool").join(place));
        assert!(left.is_empty(), "{what}: spool/{place} holds {left:?}");
    }
}

/// Asserts that the backend has received one answer, and no duplicates but the allowed ones.
pub fn assert_answered_once(backend: &MockBackend, id: &TaskId, duplicates: Duplicates, what: &str) {
    let stored = backend.result_of(id).unwrap();
    assert_eq!(stored.versions.len(), 1, "{what}: the backend received different answers");
    let maximum = if duplicates == Duplicates::Same { 2 } else { 1 };
    assert!(stored.deliveries <= maximum, "{what}: answered {} times", stored.deliveries);
}

/// A fault that delays a request.
pub fn delay(endpoint: Endpoint, milliseconds: u64) -> Fault {
    Fault::new(endpoint, FaultKind::Delay(Duration::from_millis(milliseconds)))
}
