//! The course of a soak: tasks with faults and kills, tasks with faults only, then the checks.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use mock_backend::{Attempt, MockBackend, Settings, Status, TaskId};
use tokio::time::sleep;
use tools::programs::find_runner;
use tools::{print_line, proc};

use crate::backend_faults::BackendFaults;
use crate::findings::Findings;
use crate::kills::Kills;
use crate::runner::{Runner, RunnerOptions};
use crate::spool;
use crate::students::{Behavior, Repositories};

/// Timeout of a task. Far above the time of every student that ends, even beside kills and other tasks.
const TASK_TIMEOUT: Duration = Duration::from_secs(12);

/// One task in this many is submitted after the kills, to find descriptor leaks.
const TASKS_WITHOUT_KILLS: u64 = 4;

/// Time limit of the last results after the faults end. Exceeds the longest pause between two delivery attempts.
const SETTLE_LIMIT: Duration = Duration::from_secs(180);

/// Options of a soak.
#[derive(Debug)]
pub(crate) struct Options {
    /// Number of tasks.
    pub(crate) tasks: u64,
    /// Seed of the random numbers.
    pub(crate) seed: u64,
    /// The runner's binary, if given.
    pub(crate) runner: Option<PathBuf>,
    /// Time limit in minutes.
    pub(crate) minutes: u64,
}

/// Runs the soak and prints the findings. Returns false if a check failed.
///
/// # Errors
/// Returns a message if the soak cannot be set up or a runner cannot be started.
pub(crate) async fn run(options: Options) -> Result<bool, String> {
    let folder = tempfile::Builder::new().prefix("soak-").tempdir();
    let folder = folder.map_err(|error| format!("cannot create a temporary folder: {error}"))?;
    // The runners execute a copy, so that all their processes can be found by the path of the program.
    let program = folder.path().join("runner");
    let original = find_runner(options.runner)?;
    std::fs::copy(&original, &program)
        .map_err(|error| format!("cannot copy {}: {error}", original.display()))?;
    let repositories = Repositories::create(folder.path(), &folder.path().display().to_string())?;
    let mut random = Rng::with_seed(options.seed);
    let settings = Settings {
        auth: true,
        access_lifetime: Duration::from_secs(20),
        clock_offset_ms: random.i64(-3_600_000..3_600_000),
        kept_requests: 100,
        ..Settings::default()
    };
    let backend = MockBackend::start(settings).await.map_err(|error| error.to_string())?;
    let runner_options = || RunnerOptions {
        program: program.clone(),
        backend: backend.url(),
        suite: repositories.suite_url(),
        timeout: TASK_TIMEOUT,
    };
    let runners =
        [Runner::new(folder.path(), 1, runner_options())?, Runner::new(folder.path(), 2, runner_options())?];
    let mut soak = Soak {
        started: Instant::now(),
        limit: Duration::from_secs(options.minutes * 60),
        backend: &backend,
        repositories: &repositories,
        runners: &runners,
        behaviors: HashMap::new(),
        kills: Kills::default(),
        backend_faults: BackendFaults::default(),
    };
    let findings = soak.run(options.tasks, &mut random).await?;
    print_line(findings.summary(&soak.kills));
    let passed = findings.errors.is_empty();
    if !passed {
        print_line(format!("seed {}; logs and spools are kept in {}", options.seed, folder.keep().display()));
    }
    Ok(passed)
}

/// A running soak.
struct Soak<'a> {
    started: Instant,
    limit: Duration,
    backend: &'a MockBackend,
    repositories: &'a Repositories,
    runners: &'a [Runner; 2],
    behaviors: HashMap<TaskId, Behavior>,
    kills: Kills,
    backend_faults: BackendFaults,
}

impl Soak<'_> {
    async fn run(&mut self, tasks: u64, random: &mut Rng) -> Result<Findings, String> {
        let with_kills = tasks - tasks / TASKS_WITHOUT_KILLS;
        self.submit_random(0..with_kills, random);
        for runner in self.runners {
            runner.start()?;
        }
        self.run_with_faults(random, true).await?;
        self.settle().await?;
        // The same faults without kills. Descriptors that are open afterwards, and were not before, are leaked.
        let before = self.idle_descriptors().await;
        let resubmitted = self.resubmit_lost();
        self.submit_random(with_kills..tasks, random);
        self.run_with_faults(random, false).await?;
        self.settle().await?;
        let after = self.idle_descriptors().await;
        for runner in self.runners {
            self.kills.stop(runner).await;
        }
        self.print_progress(&self.backend.attempts());
        let mut findings = Findings::check(self.backend, &self.kills, &self.behaviors, &resubmitted);
        self.check_leftovers(&mut findings);
        for ((runner, before), after) in self.runners.iter().zip(before).zip(after) {
            findings.check_descriptors(runner.number, before, after);
        }
        Ok(findings)
    }

    /// Submits tasks with these numbers and random behaviors.
    fn submit_random(&mut self, numbers: Range<u64>, random: &mut Rng) {
        for number in numbers {
            // Backends use both kinds of id.
            let id =
                if random.bool() { TaskId::from(number) } else { TaskId::string(&format!("task-{number}")) };
            self.submit(id, Behavior::random(random));
        }
    }

    async fn idle_descriptors(&self) -> [Option<u64>; 2] {
        [self.runners[0].idle_descriptors().await, self.runners[1].idle_descriptors().await]
    }

    fn submit(&mut self, id: TaskId, behavior: Behavior) {
        self.backend.submit(self.repositories.task(behavior).id(id.clone()));
        self.behaviors.insert(id, behavior);
    }

    /// Injects faults, and kills runners if `kills` is set, while tasks are pending.
    async fn run_with_faults(&self, random: &mut Rng, kills: bool) -> Result<(), String> {
        let (half_claimed, finished) = (Cell::new(false), Cell::new(false));
        let (mut fault_random, mut kill_random) = (random.fork(), random.fork());
        let killing = async {
            if kills {
                self.kills.run(self.runners, &mut kill_random, &half_claimed, &finished).await
            } else {
                Ok(())
            }
        };
        let faults = self.backend_faults.run(self.backend, &mut fault_random, &finished);
        let (watched, killed, ()) = tokio::join!(self.watch(&half_claimed, &finished), killing, faults);
        watched.and(killed)
    }

    /// Checks the runners until no task is pending or the time limit is reached, then sets `finished`. Sets `half_claimed`
    /// when half of the tasks are claimed.
    async fn watch(&self, half_claimed: &Cell<bool>, finished: &Cell<bool>) -> Result<(), String> {
        let mut printed = Instant::now();
        loop {
            sleep(Duration::from_millis(250)).await;
            for runner in self.runners {
                runner.check()?;
            }
            let attempts = self.backend.attempts();
            let pending = attempts.iter().filter(|attempt| attempt.status == Status::Pending).count();
            half_claimed.set(pending < attempts.len() / 2);
            if pending == 0 || self.started.elapsed() > self.limit {
                finished.set(true);
                return Ok(());
            }
            if printed.elapsed() > Duration::from_secs(10) {
                printed = Instant::now();
                self.print_progress(&attempts);
            }
        }
    }

    /// Waits until every task has a result, or the runners hold no more claims and results.
    async fn settle(&self) -> Result<(), String> {
        let started = Instant::now();
        let mut unanswered = self.backend.unanswered();
        let mut changed = Instant::now();
        while unanswered > 0
            && started.elapsed() < SETTLE_LIMIT
            && self.started.elapsed() < self.limit + SETTLE_LIMIT
        {
            sleep(Duration::from_millis(250)).await;
            for runner in self.runners {
                runner.check()?;
            }
            let spooled = |runner: &Runner| {
                spool::count(&runner.state, "claimed") + spool::count(&runner.state, "results")
            };
            let now = self.backend.unanswered();
            if now != unanswered || self.runners.iter().map(spooled).sum::<usize>() > 0 {
                unanswered = now;
                changed = Instant::now();
            }
            // The spools were empty for longer than any task takes: no more results will arrive.
            if changed.elapsed() > TASK_TIMEOUT + Duration::from_secs(5) {
                break;
            }
        }
        Ok(())
    }

    /// Submits again the tasks that the contract allows to be lost: claimed around a kill, and not on disk. Returns the ids
    /// of the lost tasks.
    fn resubmit_lost(&mut self) -> Vec<TaskId> {
        let lost: Vec<TaskId> = self
            .backend
            .attempts()
            .into_iter()
            .filter(|attempt| attempt.result.is_none())
            .filter(|attempt| attempt.claimed.is_some_and(|claimed| self.kills.in_flight(claimed)))
            .filter_map(|attempt| attempt.id)
            .filter(|id| !self.kills.on_disk.borrow().contains(id))
            .collect();
        for id in &lost {
            let Some(behavior) = self.behaviors.get(id).copied() else { continue };
            self.submit(TaskId::string(&format!("again-{id}")), behavior);
        }
        lost
    }

    /// Checks for processes, files and log lines that must not exist after the end.
    fn check_leftovers(&self, findings: &mut Findings) {
        let folder = Path::new(&self.runners[0].state).parent().unwrap_or(Path::new("/"));
        for process in proc::processes_of(folder) {
            findings.error(format!("process left: {process}"));
        }
        for runner in self.runners {
            let number = runner.number;
            findings.check_memory_growth(runner);
            for folder in spool::EMPTY_AT_END {
                let files = spool::count(&runner.state, folder);
                if files > 0 {
                    findings.error(format!("runner {number}: spool/{folder} contains {files} files"));
                }
            }
            let work = std::fs::read_dir(runner.state.join("work")).map_or(0, Iterator::count);
            if work > 0 {
                findings.error(format!("runner {number}: {work} work folders left"));
            }
            let exits = runner.unexpected_exits.get();
            if exits > 0 {
                findings.error(format!("runner {number}: exited unexpectedly {exits} times"));
            }
            for line in runner.panics() {
                findings.error(format!("runner {number} logged: {line}"));
            }
        }
    }

    fn print_progress(&self, attempts: &[Attempt]) {
        let answered = attempts.iter().filter(|attempt| attempt.result.is_some()).count();
        let starts: usize = self.runners.iter().map(Runner::starts).sum();
        print_line(format!(
            "{:4} s: {answered} of {} tasks have results; runners: {} kills, {} stops, {starts} starts; backend: {} faults, \
             {} restarts, {} token invalidations",
            self.started.elapsed().as_secs(),
            attempts.len(),
            self.kills.count(),
            self.kills.stops.get(),
            self.backend_faults.faults.get(),
            self.backend_faults.restarts.get(),
            self.backend_faults.invalidations.get(),
        ));
    }
}
