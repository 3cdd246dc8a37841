//! Measures the throughput of several workers, and the resources of the runner before, during and after the tasks.

use std::time::{Duration, Instant};

use mock_backend::{MockBackend, Status};
use tokio::time::sleep;
use tools::proc::{self, CpuTime};

use crate::daemon::{Daemon, Options};
use crate::disk;
use crate::idle::IdleRunner;
use crate::row::Row;
use crate::stats::{median, to_f64};
use crate::world::{World, wait_for_all_results};

/// Number of tasks before the measurement.
const WARM_UP: usize = 10;

/// Allowed difference of idle descriptors: the HTTP client keeps connections open for a while.
const KEPT_CONNECTIONS: u64 = 4;

/// Resources of an idle runner.
#[derive(Debug, Clone, Copy)]
struct Resources {
    /// Memory in KiB.
    memory: f64,
    /// Open descriptors, if they are visible to this user.
    descriptors: Option<u64>,
    threads: u64,
    /// Files in the state folder, without the kept tasks.
    files: usize,
    /// Files of the kept tasks, which have their own limit.
    kept: usize,
}

/// Measurements with one number of workers at one sandbox level.
#[derive(Debug)]
pub(crate) struct Throughput {
    workers: usize,
    level: String,
    tasks: usize,
    per_minute: f64,
    /// Processor time of the runner itself per task, in milliseconds.
    own_cpu: f64,
    /// Processor time of its children per task, in milliseconds.
    children_cpu: f64,
    after_warm_up: Resources,
    after_all: Resources,
    /// Median and maximum of the memory samples under load, in KiB.
    busy_memory: f64,
    peak_memory: f64,
    /// Difference of the median memory between the last and the second quarter of the samples, in KiB. The first quarter
    /// does not count, because caches fill in it.
    growth: f64,
}

/// Keeps `workers` busy for `duration`.
///
/// # Errors
/// Returns a message if the runner fails or a task has no passing result in time.
pub(crate) async fn measure(
    world: &World,
    workers: usize,
    sandbox: &str,
    duration: Duration,
) -> Result<Throughput, String> {
    let backend = world.backend().await?;
    let daemon = Daemon::start(world, &backend, Options { sandbox, workers, ..Options::default() })?;
    world.submit(&backend, "first", 0, WARM_UP);
    wait_for_all_results(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    let after_warm_up = idle_resources(&daemon).await;
    let before = proc::cpu_time(daemon.pid())?;
    let samples = keep_busy(world, &backend, &daemon, workers, duration).await?;
    let cpu = proc::cpu_time(daemon.pid())?;
    let after_all = idle_resources(&daemon).await;
    let (tasks, per_minute) = rate(&backend);
    let per_task = |part: fn(&CpuTime) -> f64| (part(&cpu) - part(&before)) / to_f64(tasks.max(1));
    let throughput = Throughput {
        workers,
        level: daemon.level(),
        tasks,
        per_minute,
        own_cpu: per_task(|cpu| cpu.own),
        children_cpu: per_task(|cpu| cpu.children),
        after_warm_up,
        after_all,
        busy_memory: median(&samples),
        peak_memory: samples.iter().copied().fold(0.0, f64::max),
        growth: growth(&samples),
    };
    daemon.stop().await?;
    Ok(throughput)
}

/// Difference of the medians of the last and the second quarter.
fn growth(samples: &[f64]) -> f64 {
    let quarter = samples.len() / 4;
    let (second, last) = (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]);
    median(last) - median(second)
}

/// Submits tasks so that some are always pending, and samples the runner's memory in KiB.
async fn keep_busy(
    world: &World,
    backend: &MockBackend,
    daemon: &Daemon,
    workers: usize,
    duration: Duration,
) -> Result<Vec<f64>, String> {
    let deadline = Instant::now() + duration;
    let (mut submitted, mut samples) = (WARM_UP, Vec::new());
    while Instant::now() < deadline {
        let pending = backend.attempts().iter().filter(|attempt| attempt.status == Status::Pending).count();
        if pending < 2 * workers {
            world.submit(backend, "rate", submitted, 4 * workers);
            submitted += 4 * workers;
        }
        sleep(Duration::from_millis(50)).await;
        samples.push(memory(daemon.pid()));
    }
    wait_for_all_results(backend).await?;
    Ok(samples)
}

fn memory(pid: u32) -> f64 {
    to_f64(proc::status_number(pid, "VmRSS").unwrap_or(0))
}

/// Number of tasks after the warm-up, and tasks per minute from the first claim to the last result.
fn rate(backend: &MockBackend) -> (usize, f64) {
    let attempts = backend.attempts();
    let measured = attempts.get(WARM_UP..).unwrap_or_default();
    let first = measured.iter().filter_map(|attempt| attempt.claimed).min();
    let last = measured.iter().filter_map(|attempt| Some(attempt.result.as_ref()?.received)).max();
    let seconds = first.zip(last).map_or(1.0, |(first, last)| last.duration_since(first).as_secs_f64());
    (measured.len(), to_f64(measured.len()) / seconds * 60.0)
}

/// The minimum of each resource over several idle moments.
async fn idle_resources(daemon: &Daemon) -> Resources {
    let pid = daemon.pid();
    let mut minimum: Option<Resources> = None;
    for _ in 0..5 {
        sleep(Duration::from_millis(100)).await;
        let kept = disk::count_files(&daemon.state.join("kept"));
        let now = Resources {
            memory: memory(pid),
            descriptors: proc::open_descriptors(pid),
            threads: proc::status_number(pid, "Threads").unwrap_or(0),
            files: disk::count_files(&daemon.state).saturating_sub(kept),
            kept,
        };
        minimum = Some(minimum.map_or(now, |before| Resources {
            memory: before.memory.min(now.memory),
            descriptors: before.descriptors.zip(now.descriptors).map(|(one, other)| one.min(other)),
            threads: before.threads.min(now.threads),
            files: before.files.min(now.files),
            kept: before.kept.min(now.kept),
        }));
    }
    minimum.unwrap_or(Resources { memory: 0.0, descriptors: None, threads: 0, files: 0, kept: 0 })
}

/// Rows: tasks per minute, and processor time per task.
pub(crate) fn rate_rows(throughputs: &[Throughput]) -> Vec<Row> {
    let mut rows = Vec::new();
    for throughput in throughputs {
        let minimum = if throughput.workers == 1 { 600.0 } else { 1_000.0 };
        let figure =
            format!("tasks per minute, workers: {}, sandbox {}", throughput.workers, throughput.level);
        let measured = format!("{:.0} ({} tasks)", throughput.per_minute, throughput.tasks);
        let row = Row::new(figure, measured).value("per_minute", throughput.per_minute);
        // The limits are for the runner without a sandbox.
        rows.push(if throughput.level == "none" {
            row.limit(format!(">= {minimum}"), throughput.per_minute >= minimum)
        } else {
            row
        });
    }
    for throughput in throughputs.iter().filter(|throughput| throughput.workers == 8) {
        let measured = format!(
            "{:.2} ms (of {} tasks; clock tick {} ms); its children {:.1} ms",
            throughput.own_cpu,
            throughput.tasks,
            proc::clock_tick_ms(),
            throughput.children_cpu
        );
        rows.push(
            Row::new(
                format!("processor time of the runner per task, sandbox {}", throughput.level),
                measured,
            )
            .limit("<= 15 ms", throughput.own_cpu <= 15.0)
            .value("own_ms", throughput.own_cpu)
            .value("children_ms", throughput.children_cpu),
        );
    }
    rows
}

/// Rows: memory when idle, under load and after all tasks.
pub(crate) fn memory_rows(throughputs: &[Throughput], idle: &IdleRunner) -> Vec<Row> {
    let mib = |kib: f64| kib / 1024.0;
    let mut rows = vec![
        Row::new("memory of the runner, idle", format!("{:.1} MiB RSS, before any task", mib(idle.memory)))
            .limit("<= 12 MiB", mib(idle.memory) <= 12.0)
            .value("mib", mib(idle.memory)),
    ];
    for throughput in throughputs.iter().filter(|throughput| throughput.workers == 8) {
        let (level, tasks) = (&throughput.level, throughput.tasks + WARM_UP);
        let (busy, peak) = (mib(throughput.busy_memory), mib(throughput.peak_memory));
        let (before, after) = (mib(throughput.after_warm_up.memory), mib(throughput.after_all.memory));
        let growth = mib(throughput.growth);
        rows.push(
            Row::new(
                format!("memory of the runner, 8 workers busy, sandbox {level}"),
                format!("median {busy:.1} MiB RSS, maximum {peak:.1}"),
            )
            .limit("<= 20 MiB", peak <= 20.0)
            .value("median_mib", busy)
            .value("peak_mib", peak),
        );
        rows.push(
            Row::new(
                format!("memory of the runner after {tasks} tasks, sandbox {level}"),
                format!(
                    "{after:.1} MiB RSS, {before:.1} after {WARM_UP}; {growth:+.1} from the second to the last quarter \
                     of the time"
                ),
            )
            .limit("<= 20 MiB, growth <= 0.5 MiB", after <= 20.0 && growth <= 0.5)
            .value("mib", after)
            .value("growth_mib", growth),
        );
    }
    rows
}

/// Rows: descriptors, threads and files, which must not grow with the number of tasks.
pub(crate) fn leak_rows(throughputs: &[Throughput]) -> Vec<Row> {
    let Some(throughput) = throughputs.iter().max_by_key(|throughput| throughput.tasks) else {
        return Vec::new();
    };
    let (before, after) = (&throughput.after_warm_up, &throughput.after_all);
    let name = |what: &str| format!("{what} after {} tasks", throughput.tasks + WARM_UP);
    let limit = format!("as after {WARM_UP}");
    let descriptors = match before.descriptors.zip(after.descriptors) {
        None => Row::skipped(name("descriptors"), "the kernel hides them from this user"),
        Some((before, after)) => Row::new(name("descriptors"), format!("{after}; {before} after {WARM_UP}"))
            .limit(format!("{limit}, plus kept connections"), after <= before + KEPT_CONNECTIONS)
            .value("descriptors", to_f64(after))
            .machine_independent(),
    };
    vec![
        descriptors,
        Row::new(name("threads"), format!("{}; {} after {WARM_UP}", after.threads, before.threads))
            .limit(format!("{limit}, plus idle threads of the pool"), after.threads <= before.threads + 4)
            .value("threads", to_f64(after.threads)),
        Row::new(
            name("files in the state folder"),
            format!(
                "{}; {} after {WARM_UP}; and {} of the last 20 tasks (--keep-tasks)",
                after.files, before.files, after.kept
            ),
        )
        .limit(limit, after.files <= before.files)
        .value("files", to_f64(after.files))
        .machine_independent(),
    ]
}
