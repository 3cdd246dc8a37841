//! Measures the latency of one worker at several sandbox levels, and of the same tasks by hand. The measurements alternate,
//! so that all see the same load of the machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mock_backend::{Attempt, MockBackend, NewTask, TaskId};
use tokio::time::sleep;

use crate::breakdown::Breakdown;
use crate::by_hand::{ByHand, TaskTimes, epoch_seconds};
use crate::daemon::{Daemon, Options};
use crate::disk;
use crate::row::Row;
use crate::stats::{median, median_by, quantile};
use crate::workload::Workload;
use crate::world::{World, wait_for_all_results};

/// Number of tasks before the measurement.
const WARM_UP: usize = 3;

/// Measurements at one sandbox level.
#[derive(Debug)]
pub(crate) struct Latency {
    /// The value of `--sandbox`.
    requested: &'static str,
    /// The level that the runner chose.
    level: String,
    /// Milliseconds from the response to the claim to the accepted result.
    results: Vec<f64>,
    /// Milliseconds from an accepted result to the next claim; negative if the claim came first.
    gaps: Vec<f64>,
    /// Milliseconds from the submission of a task to its claim by an idle runner.
    waits: Vec<f64>,
    by_hand: Arc<[TaskTimes]>,
    pub(crate) breakdown: Breakdown,
}

/// `--check-interval` of the runners. Short, because each round waits for it.
const INTERVAL: Duration = Duration::from_millis(200);

/// Measures with each `--sandbox` value of `levels` and by hand, alternating after each round.
///
/// # Errors
/// Returns a message if a runner or a command by hand fails.
pub(crate) async fn measure<const N: usize>(
    world: &World,
    workload: Workload,
    levels: [&'static str; N],
) -> Result<[Latency; N], String> {
    let mut runners = Vec::new();
    for requested in levels {
        runners.push(LevelRunner::start(world, requested).await?);
    }
    let backend = world.backend().await?;
    let by_hand = ByHand::new(world, &runners[0].daemon.state, &backend)?;
    let mut times = Vec::new();
    for round in 0..workload.rounds {
        // Each level is the first one equally often.
        for turn in 0..N {
            runners[(round + turn) % N].run_round(world, round, workload.tasks_per_round).await?;
        }
        sleep(Duration::from_millis(50)).await;
        for _ in 0..workload.tasks_per_round {
            times.push(run_by_hand(world, &by_hand, &backend, times.len()).await?);
        }
    }
    let times: Arc<[TaskTimes]> = times.into();
    let mut latencies = Vec::new();
    for runner in runners {
        latencies.push(runner.finish(workload, times.clone()).await?);
    }
    latencies.try_into().map_err(|_| "unexpected number of levels".to_owned())
}

/// A runner at one sandbox level with its own backend.
struct LevelRunner {
    requested: &'static str,
    backend: MockBackend,
    daemon: Daemon,
}

impl LevelRunner {
    async fn start(world: &World, requested: &'static str) -> Result<Self, String> {
        let backend = world.backend().await?;
        let interval = format!("{}ms", INTERVAL.as_millis());
        // The runners run at the same time, so each needs its own state folder.
        let state = format!("state-{requested}");
        let options = Options {
            state: &state,
            sandbox: requested,
            interval: &interval,
            log: "debug",
            ..Options::default()
        };
        let daemon = Daemon::start(world, &backend, options)?;
        world.submit(&backend, &format!("warm-{requested}"), 0, WARM_UP);
        wait_for_all_results(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
        Ok(Self { requested, backend, daemon })
    }

    async fn run_round(&self, world: &World, round: usize, tasks: usize) -> Result<(), String> {
        // Waits for the end of the last delivery, and submits at a random point of the poll interval.
        sleep(Duration::from_millis(fastrand::u64(50..250))).await;
        world.submit(&self.backend, self.requested, round * tasks, tasks);
        wait_for_all_results(&self.backend).await
    }

    async fn finish(self, workload: Workload, by_hand: Arc<[TaskTimes]>) -> Result<Latency, String> {
        let Self { requested, backend, daemon } = self;
        let clock = (Instant::now(), epoch_seconds());
        let (level, log) = (daemon.level(), daemon.log());
        daemon.stop().await?;
        let attempts = &backend.attempts()[WARM_UP..];
        let breakdown = Breakdown::from_log(&level, attempts, &log, &by_hand, clock);
        let (results, gaps, waits) = (Vec::new(), Vec::new(), Vec::new());
        let mut latency = Latency { requested, level, results, gaps, waits, by_hand, breakdown };
        latency.add(attempts, workload.tasks_per_round);
        Ok(latency)
    }
}

/// Runs one task by hand in another thread, because the runtime's only thread serves the backend.
async fn run_by_hand(
    world: &World,
    by_hand: &ByHand,
    backend: &MockBackend,
    number: usize,
) -> Result<TaskTimes, String> {
    let id = TaskId::string(&format!("hand-{number}"));
    backend.submit(NewTask::new(&world.student_url(), "main").id(id.clone()));
    let by_hand = by_hand.clone();
    let times = tokio::task::spawn_blocking(move || by_hand.task(&id)).await;
    times.map_err(|error| error.to_string())?
}

impl Latency {
    fn add(&mut self, attempts: &[Attempt], tasks_per_round: usize) {
        let ms = |from: Instant, to: Instant| {
            let backwards = from.saturating_duration_since(to).as_secs_f64();
            (to.saturating_duration_since(from).as_secs_f64() - backwards) * 1e3
        };
        for round in attempts.chunks(tasks_per_round) {
            let mut previous = None;
            for attempt in round {
                let (Some(claimed), Some(result)) = (attempt.claimed, &attempt.result) else { continue };
                self.results.push(ms(claimed, result.received));
                match previous {
                    None => self.waits.push(ms(attempt.created, claimed)),
                    Some(previous) => self.gaps.push(ms(previous, claimed)),
                }
                previous = Some(result.received);
            }
        }
    }

    /// Claim to accepted result, minus the time of the suite.
    pub(crate) fn row(&self, limit_ms: f64) -> Row {
        let (result, suite) = (median(&self.results), median_by(&self.by_hand, |task| task.python.whole));
        let overhead = result - suite;
        let level =
            if self.requested == self.level { self.level.clone() } else { format!("auto: {}", self.level) };
        let measured = format!(
            "{overhead:.1} ms: {result:.1} (of {} tasks; 90 % below {:.1}) - {suite:.1} for the suite by hand",
            self.results.len(),
            quantile(&self.results, 0.9)
        );
        Row::new(
            format!("claim to result accepted, one worker, warm, without the suite; sandbox {level}"),
            measured,
        )
        .limit(format!("<= {limit_ms} ms"), overhead <= limit_ms)
        .value("overhead_ms", overhead)
        .value("result_ms", result)
        .value("suite_ms", suite)
    }

    /// Cost of this level compared with `bare`, which was measured alternately.
    pub(crate) fn cost_row(&self, bare: &Self, limit_ms: f64) -> Row {
        let figure = "cost of the sandbox per task: the same tasks alternately without and with it";
        if self.level == bare.level {
            return Row::skipped(figure, format!("no sandbox works on this machine: {}", self.level));
        }
        let (without, with) = (median(&bare.results), median(&self.results));
        let cost = with - without;
        let measured =
            format!("{cost:.1} ms: {with:.1} with {} - {without:.1} with {}", self.level, bare.level);
        Row::new(figure, measured).limit(format!("<= {limit_ms} ms"), cost <= limit_ms).value("cost_ms", cost)
    }

    /// Time to the claim of a following task, and of a task for an idle runner.
    pub(crate) fn gap_row(&self) -> Row {
        let (gap, upper) = (median(&self.gaps), quantile(&self.gaps, 0.9));
        let wait = quantile(&self.waits, 1.0);
        let interval = INTERVAL.as_secs_f64() * 1e3;
        let measured = format!(
            "{gap:.1} ms after the previous result (90 % below {upper:.1}; negative: before it); idle runner, \
             interval {interval} ms: longest of {} {wait:.0} ms",
            self.waits.len()
        );
        Row::new("time to the claim: of a following task; of a task for an idle runner", measured)
            .limit("<= 20 ms; <= the interval", gap <= 20.0 && wait <= interval + 20.0)
            .value("gap_ms", gap)
            .value("longest_wait_ms", wait)
    }

    /// The same tasks without a runner, and the speed of the disk.
    pub(crate) fn by_hand_rows(&self, world: &World) -> Vec<Row> {
        let of = |time: fn(&TaskTimes) -> f64| median_by(&self.by_hand, time);
        let whole = of(TaskTimes::whole);
        let overhead = of(|task| task.whole() - task.python.whole);
        let measured = format!(
            "{whole:.1} ms, {overhead:.1} without the suite: curl {:.1}, git clone {:.1}, python {:.1}, curl {:.1}",
            of(|task| task.claim),
            of(|task| task.clone),
            of(|task| task.python.whole),
            of(|task| task.post)
        );
        let fsync = disk::fsync_ms(&world.path("")).unwrap_or(0.0);
        vec![
            Row::new("the same task by hand: git clone, python, two curls", measured)
                .value("whole_ms", whole)
                .value("overhead_ms", overhead),
            Row::new("one fsync of 4 KiB in a new file", format!("{fsync:.2} ms")).value("ms", fsync),
        ]
    }
}
