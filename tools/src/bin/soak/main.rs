//! The soak: two real runners, a backend that has a bad day, students of every kind, and a `kill -9` every few
//! seconds. At the end each task must be answered with the truth, and nothing may be left.
//!
//! What "equal" means: once a result is on the runner's disk, its bytes never change. So all answers that the backend
//! accepts for one task must be the same bytes, without exception, and where a result was on disk at a kill, these
//! bytes are what must arrive. A task may be run again only where a kill met its claim without a result; the run that
//! was cut has answered nothing, so a second run shows no difference anywhere.
//!
//! Prints its seed; with it, students, faults and strikes are drawn in the same order again (their times are the
//! machine's). Exit codes: 0 all is well, 1 not, 2 something is missing.

#[path = "../../common/mod.rs"]
mod common;
mod fleet;
mod judge;
mod processes;
mod samples;
mod spool;
mod strikes;
mod weather;

use std::cell::Cell;
use std::collections::HashMap;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use fastrand::Rng;
use mock_backend::{MockBackend, Settings, Status, TaskId};
use tokio::time::sleep;

use crate::common::programs::find_runner;
use crate::common::say;
use crate::fleet::{Plan, Runner};
use crate::judge::Findings;
use crate::samples::{Kind, Samples};
use crate::strikes::Strikes;
use crate::weather::Weather;

/// Two runners, a backend on a bad day, and a kill every few seconds: is anything lost?
#[derive(Debug, Parser)]
#[command(name = "soak", version, max_term_width = 100)]
struct Cli {
    /// How many tasks
    #[arg(long, default_value_t = 2000)]
    tasks: u64,
    /// The seed of all that is random [default: by chance, and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// The runner's binary [default: the one beside this program; `cargo run` builds it first]
    #[arg(long, value_name = "PATH")]
    runner: Option<PathBuf>,
    /// Give up after so many minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

/// A task's deadline: far above what any student needs who ends at all, also where kills and colleagues slow things.
const TIMEOUT: Duration = Duration::from_secs(12);

/// One in so many tasks is of the last lap, which looks for descriptors that leak.
const LAST_LAP: u64 = 4;

/// How long the last results may take once the weather is fine: the longest pause between two attempts counts.
const SETTLE: Duration = Duration::from_secs(180);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    say(format!("soak: {} tasks, seed {seed}", cli.tasks));
    match run(&cli, seed).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            // A closed stderr is no reason to fail differently.
            let _ = writeln!(std::io::stderr(), "soak: {why}");
            ExitCode::from(2)
        }
    }
}

/// Runs it all. False: something is not as it must be.
async fn run(cli: &Cli, seed: u64) -> Result<bool, String> {
    let folder = tempfile::Builder::new().prefix("soak-").tempdir();
    let folder = folder.map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    // The runners run a copy, so that each of their processes, whatever its mode, is known by its program.
    let program = folder.path().join("runner");
    let original = find_runner(cli.runner.clone())?;
    std::fs::copy(&original, &program)
        .map_err(|error| format!("cannot copy {}: {error}", original.display()))?;
    let samples = Samples::make(folder.path(), &folder.path().display().to_string())?;
    let mut random = Rng::with_seed(seed);
    let settings = Settings {
        auth: true,
        access_lifetime: Duration::from_secs(20),
        clock_offset_ms: random.i64(-3_600_000..3_600_000),
        kept_requests: 100,
        ..Settings::default()
    };
    let backend = MockBackend::start(settings).await.map_err(|error| error.to_string())?;
    let plan = || Plan {
        program: program.clone(),
        backend: backend.url(),
        suite: samples.suite(),
        timeout: TIMEOUT,
    };
    let runners = [Runner::new(folder.path(), 1, plan())?, Runner::new(folder.path(), 2, plan())?];
    let mut soak = Soak {
        started: Instant::now(),
        limit: Duration::from_secs(cli.minutes * 60),
        backend: &backend,
        samples: &samples,
        runners: &runners,
        kinds: HashMap::new(),
        strikes: Strikes::default(),
        weather: Weather::default(),
    };
    let findings = soak.go(cli.tasks, &mut random).await?;
    say(findings.table(&soak.strikes));
    let well = findings.faults.is_empty();
    if !well {
        say(format!("seed {seed}; logs and spools are kept in {}", folder.keep().display()));
    }
    Ok(well)
}

/// A run in progress.
struct Soak<'a> {
    started: Instant,
    limit: Duration,
    backend: &'a MockBackend,
    samples: &'a Samples,
    runners: &'a [Runner; 2],
    kinds: HashMap<TaskId, Kind>,
    strikes: Strikes,
    weather: Weather,
}

impl Soak<'_> {
    async fn go(&mut self, tasks: u64, random: &mut Rng) -> Result<Findings, String> {
        let last_lap = tasks - tasks / LAST_LAP;
        self.draw(0..last_lap, random);
        for runner in self.runners {
            runner.start()?;
        }
        self.storm(random, true).await?;
        self.settle().await?;
        // The same weather without kills, from rest to rest: what is open afterwards, and was not, is a leak.
        let before = self.descriptors_at_rest().await;
        let again = self.hand_in_again();
        self.draw(last_lap..tasks, random);
        self.storm(random, false).await?;
        self.settle().await?;
        let after = self.descriptors_at_rest().await;
        for runner in self.runners {
            self.strikes.stop(runner).await;
        }
        self.say_progress(&self.backend.attempts());
        let mut findings = Findings::of(self.backend, &self.strikes, &self.kinds, &again);
        self.look_for_leftovers(&mut findings);
        for ((runner, before), after) in self.runners.iter().zip(before).zip(after) {
            findings.judge_descriptors(runner.number, before, after);
        }
        Ok(findings)
    }

    /// Submits tasks of these numbers, by chance.
    fn draw(&mut self, numbers: Range<u64>, random: &mut Rng) {
        for number in numbers {
            // Both forms that backends use.
            let id =
                if random.bool() { TaskId::from(number) } else { TaskId::string(&format!("task-{number}")) };
            self.submit(id, Kind::draw(random));
        }
    }

    async fn descriptors_at_rest(&self) -> [Option<u64>; 2] {
        [self.runners[0].descriptors_at_rest().await, self.runners[1].descriptors_at_rest().await]
    }

    fn submit(&mut self, id: TaskId, kind: Kind) {
        self.backend.submit(self.samples.task(kind).id(id.clone()));
        self.kinds.insert(id, kind);
    }

    /// Faults, and kills if so, for as long as there are tasks that nobody has taken.
    async fn storm(&self, random: &mut Rng, kills: bool) -> Result<(), String> {
        let (half, over) = (Cell::new(false), Cell::new(false));
        let (mut of_weather, mut of_strikes) = (random.fork(), random.fork());
        let progress = async {
            let mut said = Instant::now();
            loop {
                sleep(Duration::from_millis(250)).await;
                for runner in self.runners {
                    runner.look()?;
                }
                let attempts = self.backend.attempts();
                let pending = attempts.iter().filter(|attempt| attempt.status == Status::Pending).count();
                half.set(pending < attempts.len() / 2);
                if pending == 0 || self.started.elapsed() > self.limit {
                    over.set(true);
                    return Ok::<(), String>(());
                }
                if said.elapsed() > Duration::from_secs(10) {
                    said = Instant::now();
                    self.say_progress(&attempts);
                }
            }
        };
        let strikes = async {
            if kills {
                self.strikes.strike(self.runners, &mut of_strikes, &half, &over).await
            } else {
                Ok(())
            }
        };
        let weather = self.weather.blow(self.backend, &mut of_weather, &over);
        let (progress, strikes, ()) = tokio::join!(progress, strikes, weather);
        progress.and(strikes)
    }

    /// Waits until all is answered, or nobody works on what is not.
    async fn settle(&self) -> Result<(), String> {
        let begin = Instant::now();
        let mut unanswered = self.backend.unanswered();
        let mut changed = Instant::now();
        while unanswered > 0 && begin.elapsed() < SETTLE && self.started.elapsed() < self.limit + SETTLE {
            sleep(Duration::from_millis(250)).await;
            for runner in self.runners {
                runner.look()?;
            }
            let waiting = |runner: &Runner| {
                spool::count(&runner.state, "claimed") + spool::count(&runner.state, "results")
            };
            let now = self.backend.unanswered();
            if now != unanswered || self.runners.iter().map(waiting).sum::<usize>() > 0 {
                unanswered = now;
                changed = Instant::now();
            }
            // Nothing in the spools for longer than any task takes: nothing will come any more.
            if changed.elapsed() > TIMEOUT + Duration::from_secs(5) {
                break;
            }
        }
        Ok(())
    }

    /// Hands in again what was lost by the contract: claimed around a kill, and on no disk.
    fn hand_in_again(&mut self) -> Vec<TaskId> {
        let lost: Vec<TaskId> = self
            .backend
            .attempts()
            .into_iter()
            .filter(|attempt| attempt.result.is_none())
            .filter(|attempt| attempt.claimed.is_some_and(|claimed| self.strikes.in_flight(claimed)))
            .filter_map(|attempt| attempt.id)
            .filter(|id| !self.strikes.on_disk.borrow().contains(id))
            .collect();
        for id in &lost {
            let Some(kind) = self.kinds.get(id).copied() else { continue };
            self.submit(TaskId::string(&format!("again-{id}")), kind);
        }
        lost
    }

    fn look_for_leftovers(&self, findings: &mut Findings) {
        for left in processes::of(Path::new(&self.runners[0].state).parent().unwrap_or(Path::new("/"))) {
            findings.fault(format!("a process is left: {left}"));
        }
        for runner in self.runners {
            let number = runner.number;
            findings.judge_growth(runner);
            for folder in spool::TO_BE_EMPTY {
                match spool::count(&runner.state, folder) {
                    0 => {}
                    files => findings.fault(format!("runner {number}: spool/{folder} holds {files} files")),
                }
            }
            match spool::count(&runner.state, "aside") {
                0 => {}
                files => {
                    findings.fault(format!("runner {number}: {files} files of the spool were set aside"));
                }
            }
            let work = std::fs::read_dir(runner.state.join("work")).map_or(0, Iterator::count);
            if work > 0 {
                findings.fault(format!("runner {number}: {work} work folders are left"));
            }
            if runner.own_ends.get() > 0 {
                findings
                    .fault(format!("runner {number}: it ended by itself {} times", runner.own_ends.get()));
            }
            for line in runner.panics() {
                findings.fault(format!("runner {number} says: {line}"));
            }
        }
    }

    fn say_progress(&self, attempts: &[mock_backend::Attempt]) {
        let answered = attempts.iter().filter(|attempt| attempt.result.is_some()).count();
        let starts: usize = self.runners.iter().map(Runner::starts).sum();
        say(format!(
            "{:4} s: {answered} of {} answered; {} kills, {} stops, {starts} starts; {} faults, {} restarts of the \
             backend, {} times its tokens",
            self.started.elapsed().as_secs(),
            attempts.len(),
            self.strikes.kills(),
            self.strikes.stops.get(),
            self.weather.faults.get(),
            self.weather.restarts.get(),
            self.weather.tokens.get(),
        ));
    }
}
