//! The counters and histograms of the process. Each label has a fixed set of values, so that text from outside never
//! makes a series.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use report::{Cause, Progress, Report, Verdict};

use super::outcomes::{LoginOutcome, PollOutcome};

/// Prefix of the names of all metrics but those of the process, which have the same names in every program.
pub(super) const PREFIX: &str = "ostest_runner";

/// Bounds of the buckets of times, in seconds.
const SECONDS: [f64; 15] =
    [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// The positions of a task whose times are measured.
const MEASURED: [&str; 5] = ["checkout", "prepare", "execute", "report", "deliver"];

/// The labels of a series: names and values.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters that differ in the values of `N` labels.
#[derive(Debug)]
pub(super) struct Counters<const N: usize> {
    names: [&'static str; N],
    family: Family<Labels<N>, Counter>,
}

impl<const N: usize> Counters<N> {
    /// Makes a counter for each of `series`, the values of the labels. All start at 0, because a rate needs the value
    /// before the first event.
    fn new(names: [&'static str; N], series: impl IntoIterator<Item = [&'static str; N]>) -> Self {
        let counters = Self { names, family: Family::default() };
        for values in series {
            drop(counters.family.get_or_create(&counters.labels(values)));
        }
        counters
    }

    /// Adds 1 to the counter with these values of the labels.
    pub(super) fn add(&self, values: [&'static str; N]) {
        self.family.get_or_create(&self.labels(values)).inc();
    }

    fn labels(&self, values: [&'static str; N]) -> Labels<N> {
        std::array::from_fn(|at| (self.names[at], values[at]))
    }
}

/// All counters and histograms.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) registry: Registry,
    pub(super) slots: Gauge<u64, AtomicU64>,
    pub(super) polls: Counters<1>,
    pub(super) claims: Counter,
    pub(super) resumed: Counter,
    results: Counters<1>,
    faults: Counters<2>,
    pub(super) delivery_attempts: Counter,
    pub(super) delivery_retries: Counter,
    pub(super) deliveries: Counters<1>,
    pub(super) logins: Counters<1>,
    pub(super) refreshes: Counters<1>,
    pub(super) commands: Counter,
    pub(super) stopped: Counters<1>,
    pub(super) leftovers: Counter,
    pub(super) limits: Counters<1>,
    progress_times: Family<Labels<1>, Histogram, fn() -> Histogram>,
    task_time: Histogram,
    task_cpu: Histogram,
    task_memory: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let faults =
            Progress::ALL.iter().flat_map(|progress| Cause::ALL.map(|cause| [progress.name(), cause.name()]));
        let logins = || LoginOutcome::ALL.map(|outcome| [outcome.name()]);
        let limits = ["memory", "cpu_time", "disk", "files", "processes", "output"];
        let seconds = || Histogram::new(SECONDS);
        let progress_times: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(seconds);
        for progress in MEASURED {
            drop(progress_times.get_or_create(&[("progress", progress)]));
        }
        let mut metrics = Self {
            registry: Registry::with_prefix(PREFIX),
            slots: Gauge::default(),
            polls: Counters::new(["outcome"], PollOutcome::ALL.map(|outcome| [outcome.name()])),
            claims: Counter::default(),
            resumed: Counter::default(),
            results: Counters::new(["verdict"], Verdict::ALL.map(|verdict| [verdict.name()])),
            faults: Counters::new(["progress", "cause"], faults),
            delivery_attempts: Counter::default(),
            delivery_retries: Counter::default(),
            deliveries: Counters::new(["outcome"], [["accepted"], ["rejected"]]),
            logins: Counters::new(["outcome"], logins()),
            refreshes: Counters::new(["outcome"], logins()),
            commands: Counter::default(),
            stopped: Counters::new(["reason"], [["deadline"], ["interrupt"], ["abandoned"]]),
            leftovers: Counter::default(),
            limits: Counters::new(["limit"], limits.map(|limit| [limit])),
            progress_times,
            task_time: seconds(),
            task_cpu: seconds(),
            // 8 MiB to 4 GiB.
            task_memory: Histogram::new(exponential_buckets(8_388_608.0, 2.0, 10)),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    /// Registers each metric with its name and help. The registry adds `_total` to a counter's name and a full stop to
    /// the help.
    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("slots", "Tasks that may run at the same time", self.slots.clone());
        to.register("polls", "Polls of the backend for a task, by outcome", self.polls.family.clone());
        to.register("claims", "Tasks claimed from the backend", self.claims.clone());
        to.register("resumed", "Tasks claimed by an earlier process and run again", self.resumed.clone());
        to.register("results", "Results of tasks, by verdict", self.results.family.clone());
        to.register("faults", "Results with a fault, by progress and cause", self.faults.family.clone());
        to.register("delivery_attempts", "Attempts to send a result", self.delivery_attempts.clone());
        to.register("delivery_retries", "Failed attempts to send a result", self.delivery_retries.clone());
        to.register(
            "deliveries",
            "Results that the backend accepted or refused",
            self.deliveries.family.clone(),
        );
        to.register("logins", "Logins, by outcome", self.logins.family.clone());
        to.register("token_refreshes", "Refreshes of the tokens, by outcome", self.refreshes.family.clone());
        to.register("children", "Child processes that ended", self.commands.clone());
        to.register(
            "children_stopped",
            "Child processes that the runner stopped",
            self.stopped.family.clone(),
        );
        let help = "Processes that outlived the child process which started them, and were killed";
        to.register("leftover_processes", help, self.leftovers.clone());
        to.register("limits_hit", "Sandbox limits that tasks hit", self.limits.family.clone());
        let help = "Time that tasks spent in each position";
        to.register("progress_duration_seconds", help, self.progress_times.clone());
        let help = "Time of tasks from the claim to the result";
        to.register("task_duration_seconds", help, self.task_time.clone());
        to.register("task_cpu_seconds", "Processor time of tasks", self.task_cpu.clone());
        to.register("task_memory_peak_bytes", "Peak of memory of tasks", self.task_memory.clone());
    }

    /// Counts the time of a task in `progress`. Ignores a position that is not measured.
    pub(super) fn observe_progress(&self, progress: &'static str, time: Duration) {
        if let Some(times) = self.progress_times.get(&[("progress", progress)]) {
            times.observe(time.as_secs_f64());
        }
    }

    /// Counts the result of a task that took `elapsed` since its claim.
    pub(super) fn observe_result(&self, report: &Report, elapsed: Duration) {
        self.results.add([report.verdict().name()]);
        if let Some(fault) = &report.fault {
            self.faults.add([fault.progress.name(), fault.cause.name()]);
        }
        self.task_time.observe(elapsed.as_secs_f64());
        if let Some(cpu) = report.cpu {
            self.task_cpu.observe(cpu.as_secs_f64());
        }
        if let Some(memory) = report.memory_peak() {
            #[expect(clippy::cast_precision_loss, reason = "buckets are far coarser")]
            self.task_memory.observe(memory as f64);
        }
    }
}
