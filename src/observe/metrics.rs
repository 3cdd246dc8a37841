//! Counters, gauges and histograms, and all those that there are. Labels have a fixed set of values each, so that
//! nothing that comes from outside makes a series.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lock;
use super::prometheus::Text;
use report::{Cause, Progress, Verdict};

/// Buckets of times, in seconds: from a step of the mock executor to a task's usual deadline and beyond.
const SECONDS: &[f64] =
    &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// Buckets of memory, in bytes: 8 MiB to 4 GiB.
const BYTES: &[f64] = &[
    8_388_608.0,
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    536_870_912.0,
    1_073_741_824.0,
    2_147_483_648.0,
    4_294_967_296.0,
];

/// A number that grows, or a gauge.
#[derive(Debug, Default)]
pub(super) struct Number(AtomicU64);

impl Number {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters that differ in their labels.
#[derive(Debug)]
pub(super) struct Family<const N: usize> {
    labels: [&'static str; N],
    values: Mutex<BTreeMap<[&'static str; N], u64>>,
}

impl<const N: usize> Family<N> {
    /// All series are there from the start, with 0: a rate needs the value before the first event.
    fn new(labels: [&'static str; N], series: impl IntoIterator<Item = [&'static str; N]>) -> Self {
        Self { labels, values: Mutex::new(series.into_iter().map(|values| (values, 0)).collect()) }
    }

    pub(super) fn add(&self, values: [&'static str; N]) {
        *lock(&self.values).entry(values).or_default() += 1;
    }

    fn write(&self, out: &mut Text, name: &str, help: &str) {
        out.head(name, "counter", help);
        for (values, count) in &*lock(&self.values) {
            let labels: Vec<_> = self.labels.into_iter().zip(values.iter().copied()).collect();
            out.count(name, &labels, *count);
        }
    }
}

/// How values spread.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    state: Mutex<Spread>,
}

#[derive(Debug, Default)]
struct Spread {
    /// Values in each bucket, not summed up; the last one is the open one.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, state: Mutex::new(Spread { counts: vec![0; bounds.len() + 1], sum: 0.0 }) }
    }

    pub(super) fn observe(&self, value: f64) {
        let bucket = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        let mut state = lock(&self.state);
        state.counts[bucket] += 1;
        state.sum += value;
    }

    fn write(&self, out: &mut Text, name: &str, labels: &[(&str, &str)]) {
        let state = lock(&self.state);
        let (bucket, mut total) = (format!("{name}_bucket"), 0);
        for (at, count) in state.counts.iter().enumerate() {
            total += count;
            let bound = self.bounds.get(at).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            out.count(&bucket, &labels, total);
        }
        out.sample(&format!("{name}_sum"), labels, state.sum);
        out.count(&format!("{name}_count"), labels, total);
    }
}

/// The times of a task's times.
#[derive(Debug)]
pub(super) struct ProgressTimes(Vec<(&'static str, Histogram)>);

impl ProgressTimes {
    pub(super) fn observe(&self, progress: &'static str, took: Duration) {
        if let Some((_, times)) = self.0.iter().find(|(name, _)| *name == progress) {
            times.observe(took.as_secs_f64());
        }
    }
}

/// All that is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) slots: Number,
    pub(super) polls: Family<1>,
    pub(super) claims: Number,
    pub(super) resumed: Number,
    pub(super) results: Family<1>,
    pub(super) faults: Family<2>,
    pub(super) delivery_attempts: Number,
    pub(super) delivery_retries: Number,
    pub(super) deliveries: Family<1>,
    pub(super) logins: Family<1>,
    pub(super) refreshes: Family<1>,
    pub(super) children: Number,
    pub(super) stopped: Family<1>,
    pub(super) leftovers: Number,
    pub(super) limits: Family<1>,
    pub(super) times: ProgressTimes,
    pub(super) task_time: Histogram,
    pub(super) task_cpu: Histogram,
    pub(super) task_memory: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let faults =
            Progress::ALL.iter().flat_map(|progress| Cause::ALL.map(|cause| [progress.name(), cause.name()]));
        let granted = || ["accepted", "refused", "failed"].map(|outcome| [outcome]);
        let times = ["checkout", "prepare", "execute", "report", "deliver"];
        Self {
            slots: Number::default(),
            polls: Family::new(["outcome"], ["task", "empty", "failed", "no_room"].map(|outcome| [outcome])),
            claims: Number::default(),
            resumed: Number::default(),
            results: Family::new(["verdict"], Verdict::ALL.map(|verdict| [verdict.name()])),
            faults: Family::new(["progress", "cause"], faults),
            delivery_attempts: Number::default(),
            delivery_retries: Number::default(),
            deliveries: Family::new(["outcome"], ["accepted", "rejected"].map(|outcome| [outcome])),
            logins: Family::new(["outcome"], granted()),
            refreshes: Family::new(["outcome"], granted()),
            children: Number::default(),
            stopped: Family::new(["reason"], ["deadline", "interrupt", "abandoned"].map(|reason| [reason])),
            leftovers: Number::default(),
            limits: Family::new(
                ["limit"],
                ["memory", "cpu_time", "disk", "files", "processes", "output"].map(|limit| [limit]),
            ),
            times: ProgressTimes(times.map(|progress| (progress, Histogram::new(SECONDS))).into()),
            task_time: Histogram::new(SECONDS),
            task_cpu: Histogram::new(SECONDS),
            task_memory: Histogram::new(BYTES),
        }
    }
}

impl Metrics {
    pub(super) fn write(&self, out: &mut Text) {
        let mut plain = |name: &str, kind: &str, help: &str, number: &Number| {
            out.head(name, kind, help);
            out.count(name, &[], number.get());
        };
        plain("slots", "gauge", "Tasks that may run at a time.", &self.slots);
        plain("claims_total", "counter", "Tasks that were taken from the backend.", &self.claims);
        plain("resumed_total", "counter", "Tasks of an earlier run that were taken up again.", &self.resumed);
        let attempts = &self.delivery_attempts;
        plain("delivery_attempts_total", "counter", "Times that a result was sent.", attempts);
        let retries = &self.delivery_retries;
        plain(
            "delivery_retries_total",
            "counter",
            "Times that a result was not taken, and had to wait.",
            retries,
        );
        plain(
            "children_total",
            "counter",
            "Child processes that have ended, git's and suites'.",
            &self.children,
        );
        let help = "Processes that outlived the child that started them, and were killed.";
        plain("leftover_processes_total", "counter", help, &self.leftovers);
        self.polls.write(out, "polls_total", "Questions for a task, by what came of them.");
        self.results.write(out, "results_total", "Tasks that came to a result, by its verdict.");
        self.faults.write(out, "faults_total", "Results of runs that went wrong, by progress and cause.");
        self.deliveries.write(out, "deliveries_total", "Results that the backend has answered for good.");
        self.logins.write(out, "logins_total", "Logins that were tried.");
        self.refreshes.write(out, "token_refreshes_total", "Refreshes of the tokens that were tried.");
        self.stopped.write(
            out,
            "children_stopped_total",
            "Child processes that were stopped before their own end.",
        );
        self.limits.write(out, "limits_hit_total", "Limits of the sandbox that tasks have hit.");
        out.head("progress_duration_seconds", "histogram", "Time of a task's times.");
        for (progress, times) in &self.times.0 {
            times.write(out, "progress_duration_seconds", &[("progress", progress)]);
        }
        out.head("task_duration_seconds", "histogram", "Time of tasks from the claim to the result.");
        self.task_time.write(out, "task_duration_seconds", &[]);
        out.head("task_cpu_seconds", "histogram", "Processor time of tasks.");
        self.task_cpu.write(out, "task_cpu_seconds", &[]);
        out.head(
            "task_memory_peak_bytes",
            "histogram",
            "The highest use of memory of tasks, where it was measured.",
        );
        self.task_memory.write(out, "task_memory_peak_bytes", &[]);
    }
}
