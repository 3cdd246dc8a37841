//! As many tasks as some workers take in some time; and what the runner weighs before, meanwhile and after.

use std::time::{Duration, Instant};

use mock_backend::{MockBackend, Status};
use tokio::time::sleep;

use crate::daemon::{Daemon, Options};
use crate::gauge::{self, Cpu};
use crate::idle::Idle;
use crate::rows::Row;
use crate::stats::{median, number};
use crate::world::{World, all_answered};

/// Tasks before anything counts.
const FIRST: usize = 10;

/// Descriptors that may be open at one quiet moment and not at another: connections that the client keeps for a while.
const CONNECTIONS: f64 = 4.0;

/// What a runner holds while nothing runs.
#[derive(Debug, Clone, Copy)]
struct Weight {
    /// KiB.
    memory: f64,
    descriptors: Option<f64>,
    threads: f64,
    /// In the state folder, without what is kept for people within bounds of its own.
    files: usize,
    kept: usize,
}

/// What was measured with one number of workers.
#[derive(Debug)]
pub(crate) struct Rate {
    workers: usize,
    level: String,
    tasks: usize,
    per_minute: f64,
    /// Milliseconds a task.
    own_cpu: f64,
    children_cpu: f64,
    after_first: Weight,
    after_all: Weight,
    /// KiB, the middle and the highest of the samples while it was busy.
    busy: f64,
    peak: f64,
    /// KiB by which the middle of the last quarter of the samples is above that of the second one: what a first task
    /// needs for good is no growth.
    growth: f64,
}

/// Keeps `workers` busy for `time`.
pub(crate) async fn measure(
    world: &World,
    workers: usize,
    sandbox: &str,
    time: Duration,
) -> Result<Rate, String> {
    let backend = world.backend().await?;
    let daemon = Daemon::start(world, &backend, Options { sandbox, workers, ..Options::default() })?;
    world.submit(&backend, "first", 0, FIRST);
    all_answered(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    let after_first = weight(&daemon).await;
    let before = gauge::cpu(daemon.pid())?;
    let samples = keep_busy(world, &backend, &daemon, workers, time).await?;
    let cpu = gauge::cpu(daemon.pid())?;
    let after_all = weight(&daemon).await;
    let (tasks, per_minute) = speed(&backend);
    let a_task = |part: fn(&Cpu) -> f64| (part(&cpu) - part(&before)) / number(tasks.max(1));
    let rate = Rate {
        workers,
        level: daemon.level(),
        tasks,
        per_minute,
        own_cpu: a_task(|cpu| cpu.own),
        children_cpu: a_task(|cpu| cpu.children),
        after_first,
        after_all,
        busy: median(&samples),
        peak: samples.iter().copied().fold(0.0, f64::max),
        growth: growth(&samples),
    };
    daemon.stop().await?;
    Ok(rate)
}

fn growth(samples: &[f64]) -> f64 {
    let quarter = samples.len() / 4;
    let (second, last) = (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]);
    median(last) - median(second)
}

/// Hands in tasks so that there is always one to take; samples the runner's memory meanwhile, in KiB.
async fn keep_busy(
    world: &World,
    backend: &MockBackend,
    daemon: &Daemon,
    workers: usize,
    time: Duration,
) -> Result<Vec<f64>, String> {
    let end = Instant::now() + time;
    let (mut handed_in, mut samples) = (FIRST, Vec::new());
    while Instant::now() < end {
        let pending = backend.attempts().iter().filter(|attempt| attempt.status == Status::Pending).count();
        if pending < 2 * workers {
            world.submit(backend, "rate", handed_in, 4 * workers);
            handed_in += 4 * workers;
        }
        sleep(Duration::from_millis(50)).await;
        samples.push(gauge::status(daemon.pid(), "VmRSS"));
    }
    all_answered(backend).await?;
    Ok(samples)
}

/// Tasks after the first ones, and how many a minute, from the first claim to the last result.
fn speed(backend: &MockBackend) -> (usize, f64) {
    let attempts = backend.attempts();
    let counted = attempts.get(FIRST..).unwrap_or_default();
    let first = counted.iter().filter_map(|attempt| attempt.claimed).min();
    let last = counted.iter().filter_map(|attempt| Some(attempt.result.as_ref()?.received)).max();
    let took = first.zip(last).map_or(1.0, |(first, last)| last.duration_since(first).as_secs_f64());
    (counted.len(), number(counted.len()) / took * 60.0)
}

/// What the runner holds at the quietest of some moments in which it has nothing to do.
async fn weight(daemon: &Daemon) -> Weight {
    let pid = daemon.pid();
    let mut quietest: Option<Weight> = None;
    for _ in 0..5 {
        sleep(Duration::from_millis(100)).await;
        let kept = gauge::files(&daemon.state.join("kept"));
        let now = Weight {
            memory: gauge::status(pid, "VmRSS"),
            descriptors: gauge::descriptors(pid),
            threads: gauge::status(pid, "Threads"),
            files: gauge::files(&daemon.state).saturating_sub(kept),
            kept,
        };
        quietest = Some(quietest.map_or(now, |before| Weight {
            memory: before.memory.min(now.memory),
            descriptors: before.descriptors.zip(now.descriptors).map(|(one, other)| one.min(other)),
            threads: before.threads.min(now.threads),
            files: before.files.min(now.files),
            kept: before.kept.min(now.kept),
        }));
    }
    quietest.unwrap_or(Weight { memory: 0.0, descriptors: None, threads: 0.0, files: 0, kept: 0 })
}

/// Tasks a minute, and the processor's part of one.
pub(crate) fn speeds(rates: &[Rate]) -> Vec<Row> {
    let mut rows = Vec::new();
    for rate in rates {
        let least = if rate.workers == 1 { 600.0 } else { 1_000.0 };
        let figure = format!("tasks a minute, workers: {}, sandbox {}", rate.workers, rate.level);
        let measured = format!("{:.0} ({} tasks)", rate.per_minute, rate.tasks);
        let row = Row::told(figure, measured).value("per_minute", rate.per_minute);
        // The bars are for the bare runner; the other row stands beside them.
        rows.push(if rate.level == "none" {
            row.bar(format!(">= {least}"), rate.per_minute >= least)
        } else {
            row
        });
    }
    for rate in rates.iter().filter(|rate| rate.workers == 8) {
        let measured = format!(
            "{:.2} ms (of {} tasks; clock tick {} ms); its children {:.1} ms",
            rate.own_cpu,
            rate.tasks,
            gauge::tick(),
            rate.children_cpu
        );
        let row =
            Row::told(format!("processor of the runner itself a task, sandbox {}", rate.level), measured);
        let row = row.bar("<= 15 ms", rate.own_cpu <= 15.0).value("own_ms", rate.own_cpu);
        rows.push(row.value("children_ms", rate.children_cpu));
    }
    rows
}

/// Memory.
pub(crate) fn weights(rates: &[Rate], idle: &Idle) -> Vec<Row> {
    let mib = |kib: f64| kib / 1024.0;
    let mut rows = vec![
        Row::told("memory of the runner, idle", format!("{:.1} MiB RSS, no task yet", mib(idle.memory)))
            .bar("<= 12 MiB", mib(idle.memory) <= 12.0)
            .value("mib", mib(idle.memory)),
    ];
    for rate in rates.iter().filter(|rate| rate.workers == 8) {
        let (busy, peak) = (mib(rate.busy), mib(rate.peak));
        let (before, after) = (mib(rate.after_first.memory), mib(rate.after_all.memory));
        let growth = mib(rate.growth);
        rows.push(
            Row::told(
                format!("memory of the runner, 8 workers busy, sandbox {}", rate.level),
                format!("{busy:.1} MiB RSS in the middle, {peak:.1} at the most"),
            )
            .bar("<= 20 MiB", peak <= 20.0)
            .value("median_mib", busy)
            .value("peak_mib", peak),
        );
        rows.push(
            Row::told(
                format!("memory of the runner after {} tasks, sandbox {}", rate.tasks + FIRST, rate.level),
                format!(
                    "{after:.1} MiB RSS, {before:.1} after {FIRST}; {growth:+.1} from the second to the last quarter of \
                     the time"
                ),
            )
            .bar("<= 20 MiB, no growth (of 0.5 MiB)", after <= 20.0 && growth <= 0.5)
            .value("mib", after)
            .value("growth_mib", growth),
        );
    }
    rows
}

/// What must be after many tasks as it was after a few.
pub(crate) fn leftovers(rates: &[Rate]) -> Vec<Row> {
    let Some(rate) = rates.iter().max_by_key(|rate| rate.tasks) else { return Vec::new() };
    let (before, after) = (&rate.after_first, &rate.after_all);
    let name = |what: &str| format!("{what} after {} tasks", rate.tasks + FIRST);
    let bar = format!("as after {FIRST}");
    let descriptors = match before.descriptors.zip(after.descriptors) {
        None => Row::skipped(name("descriptors"), "the kernel does not show them to this user"),
        Some((before, after)) => Row::told(name("descriptors"), format!("{after}; {before} after {FIRST}"))
            .bar(format!("{bar}, or some kept connections"), after <= before + CONNECTIONS)
            .value("descriptors", after)
            .by_design(),
    };
    vec![
        descriptors,
        Row::told(name("threads"), format!("{}; {} after {FIRST}", after.threads, before.threads))
            .bar(format!("{bar}, or those that wait for work"), after.threads <= before.threads + 4.0)
            .value("threads", after.threads),
        Row::told(
            name("files in the state folder"),
            format!(
                "{}; {} after {FIRST}; and {} of the last 20 tasks, kept by --keep-tasks",
                after.files, before.files, after.kept
            ),
        )
        .bar(bar, after.files <= before.files)
        .value("files", number(after.files))
        .by_design(),
    ]
}
