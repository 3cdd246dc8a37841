//! Number and duration of the measurements, for the long and the short form of the bench.

/// Number and duration of the measurements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// Rounds of tasks, and of the same tasks by hand.
    pub(crate) rounds: usize,
    /// Tasks in each round.
    pub(crate) tasks_per_round: usize,
    /// Duration of the throughput measurements in seconds: with 1, 2 and 8 workers, and with 8 in the sandbox.
    pub(crate) throughput_seconds: [u64; 4],
    /// Number of measured starts of a runner.
    pub(crate) starts: usize,
    /// Number of cases of the large report.
    pub(crate) cases: usize,
    /// Number of tasks whose system calls are counted.
    pub(crate) traced_tasks: usize,
}

impl Workload {
    /// About three minutes.
    pub(crate) const LONG: Self = Self {
        rounds: 8,
        tasks_per_round: 8,
        throughput_seconds: [12, 12, 45, 12],
        starts: 15,
        cases: 500_000,
        traced_tasks: 10,
    };

    /// About half a minute, for CI.
    pub(crate) const SHORT: Self = Self {
        rounds: 3,
        tasks_per_round: 4,
        throughput_seconds: [1, 1, 3, 1],
        starts: 3,
        cases: 50_000,
        traced_tasks: 4,
    };
}
