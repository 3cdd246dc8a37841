//! Measures a runner without tasks, in parallel with the other measurements.

use std::fmt;
use std::time::{Duration, Instant};

use mock_backend::{Endpoint, MockBackend, NewTask, RequestRecord, TaskId};
use tools::proc;

use crate::daemon::{Daemon, Options};
use crate::row::Row;
use crate::stats::to_f64;
use crate::world::{World, wait_for_all_results};

/// `--check-interval` of the idle runner, in seconds.
const INTERVAL: f64 = 5.0;

/// Number of workers, which must not multiply the requests.
const WORKERS: usize = 8;

/// A runner that has no tasks.
#[derive(Debug)]
pub(crate) struct IdleRunner {
    daemon: Daemon,
    started: Instant,
    cpu_ms: f64,
    /// Memory in KiB shortly after the first request.
    pub(crate) memory: f64,
    backend: Backend,
}

/// The backend of the idle runner, with `Debug`.
struct Backend(MockBackend);

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.url())
    }
}

/// Measurements of the idle time.
#[derive(Debug)]
pub(crate) struct IdleCost {
    seconds: f64,
    /// Processor time in milliseconds.
    cpu_ms: f64,
    requests: usize,
    /// Milliseconds from the submission of a task to its claim.
    claim_ms: f64,
}

impl IdleRunner {
    /// Starts a runner with its own state folder and waits until it is idle.
    ///
    /// # Errors
    /// Returns a message if the runner cannot be started or sends no request.
    pub(crate) async fn start(world: &World) -> Result<Self, String> {
        let backend = world.backend().await?;
        let options =
            Options { state: "idle", sandbox: "auto", workers: WORKERS, interval: "5", ..Options::default() };
        let daemon = Daemon::start(world, &backend, options)?;
        daemon.first_poll(&backend).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let pid = daemon.pid();
        let memory = to_f64(proc::status_number(pid, "VmRSS").unwrap_or(0));
        let (started, cpu_ms) = (Instant::now(), proc::thread_cpu_ms(pid));
        Ok(Self { daemon, started, cpu_ms, memory, backend: Backend(backend) })
    }

    /// Ends the idle time and submits a task, which is claimed up to [`INTERVAL`] later.
    pub(crate) fn submit_task(self, world: &World) -> AwakeRunner {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu_ms = proc::thread_cpu_ms(self.daemon.pid()) - self.cpu_ms;
        let is_claim =
            |request: &&RequestRecord| request.endpoint == Some(Endpoint::Claim) && request.at > self.started;
        let requests = self.backend.0.requests().iter().filter(is_claim).count();
        self.backend.0.submit(NewTask::new(&world.student_url(), "main").id(TaskId::from(1)));
        let cost = IdleCost { seconds, cpu_ms, requests, claim_ms: 0.0 };
        AwakeRunner { daemon: self.daemon, backend: self.backend, cost }
    }
}

/// A formerly idle runner with a submitted task.
#[derive(Debug)]
pub(crate) struct AwakeRunner {
    daemon: Daemon,
    backend: Backend,
    cost: IdleCost,
}

impl AwakeRunner {
    /// Waits for the result of the task and stops the runner.
    ///
    /// # Errors
    /// Returns a message if there is no result in time or the runner fails.
    pub(crate) async fn finish(self) -> Result<IdleCost, String> {
        wait_for_all_results(&self.backend.0).await?;
        let attempts = self.backend.0.attempts();
        let until_claim =
            attempts.first().and_then(|attempt| Some(attempt.claimed?.duration_since(attempt.created)));
        self.daemon.stop().await?;
        let claim_ms = until_claim.map_or(0.0, |time| time.as_secs_f64() * 1e3);
        Ok(IdleCost { claim_ms, ..self.cost })
    }
}

impl IdleCost {
    /// The rows of the table.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let percent = self.cpu_ms / self.seconds / 10.0;
        // The runner shortens its pauses by up to a tenth, so that many runners do not poll at the same time.
        let max_requests = (self.seconds / (INTERVAL * 0.9)).floor() + 1.0;
        let requests_per_interval = to_f64(self.requests) / (self.seconds / INTERVAL);
        let period = format!("in {:.0} s with {WORKERS} workers", self.seconds);
        vec![
            Row::new(
                "idle cost at --check-interval 5: processor",
                format!("{percent:.4} % of a core: {:.1} ms (by schedstat) {period}", self.cpu_ms),
            )
            .limit("< 0.05 % of a core", percent < 0.05)
            .value("share_percent", percent),
            Row::new(
                "idle cost at --check-interval 5: requests",
                format!(
                    "{requests_per_interval:.2} per interval: {} {period}; pauses are up to a tenth shorter",
                    self.requests
                ),
            )
            .limit("one per interval", to_f64(self.requests) <= max_requests)
            .value("requests", to_f64(self.requests))
            .machine_independent(),
            Row::new(
                "submission to claim, idle runner, --check-interval 5",
                format!("{:.0} ms", self.claim_ms),
            )
            .limit("<= 5,000 ms", self.claim_ms <= INTERVAL * 1e3 + 20.0)
            .value("claim_ms", self.claim_ms),
        ]
    }
}
