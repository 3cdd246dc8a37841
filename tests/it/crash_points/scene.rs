//! A runner that is killed at one point, and the checks after its restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, MockBackend, TaskId};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::support::{PATIENCE, World, running};

/// What may arrive besides the one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Nothing.
    None,
    /// The same bytes once more: the runner died before it knew that the backend has them.
    Same,
}

/// A task in a world whose runner is about to die.
pub struct Scene<'a> {
    pub world: &'a World,
    /// Is in the environment of everything that the task starts.
    pub mark: &'a str,
    /// The script writes a line into it each time it runs.
    pub runs: &'a Path,
    /// Requests of earlier rounds.
    pub before: usize,
}

impl Scene<'_> {
    pub fn spool(&self, place: &str) -> usize {
        names(&self.world.folder().join("state/spool").join(place)).len()
    }

    /// The task's own folder, once it is there.
    pub fn task_folder(&self) -> Option<PathBuf> {
        let work = self.world.work();
        names(&work).into_iter().find(|name| name.starts_with("task-")).map(|name| work.join(name))
    }

    pub fn in_task_folder(&self, path: &str) -> bool {
        self.task_folder().is_some_and(|folder| folder.join(path).exists())
    }

    /// Whether the backend has met a request of this round that suffered this fault.
    pub fn struck(&self, endpoint: Endpoint) -> bool {
        let requests = self.world.backend.requests();
        requests.iter().skip(self.before).any(|request| {
            request.endpoint == Some(endpoint) && (endpoint == Endpoint::Result || request.status.is_none())
        })
    }
}

/// Whether the script of a task has begun; its file is there a moment before its line is.
pub fn begun(runs: &Path) -> bool {
    fs::read(runs).is_ok_and(|text| text.ends_with(b"\n"))
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

pub fn rounds() -> usize {
    let asked = std::env::var("RUNNER_TEST_CRASH_ROUNDS").ok();
    asked.map_or(2, |asked| asked.parse().expect("RUNNER_TEST_CRASH_ROUNDS is a number"))
}

/// Kills the runner as soon as `reached` says so, as often as asked for, and looks at what comes of it. `faults` hold
/// the step open, or make it happen.
pub async fn die_when(
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
pub fn script(mark: &str, runs: &Path) -> String {
    format!(
        "export MARK={mark}; echo x >> {}; (setsid sleep 300 &); sleep 0.1; printf %s \"$PASS\" > \"$REPORT\"; sleep 0.2",
        runs.display()
    )
}

/// Looks far more often than a task takes for a step.
pub async fn soon(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "never met: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Stops the runner and looks for processes, folders and files.
pub async fn nothing_is_left(world: &mut World, what: &str, mark: &str) {
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

pub fn once(backend: &MockBackend, id: &TaskId, duplicates: Duplicates, what: &str) {
    let stored = backend.result_of(id).unwrap();
    assert_eq!(stored.versions.len(), 1, "{what}: two answers that differ");
    let most = if duplicates == Duplicates::Same { 2 } else { 1 };
    assert!(stored.deliveries <= most, "{what}: answered {} times", stored.deliveries);
}

pub fn delay(endpoint: Endpoint, milliseconds: u64) -> Fault {
    Fault::new(endpoint, FaultKind::Delay(Duration::from_millis(milliseconds)))
}
