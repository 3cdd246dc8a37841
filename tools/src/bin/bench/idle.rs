//! A runner with nothing to do, beside all that is measured meanwhile.

use std::time::Instant;

use mock_backend::{Endpoint, MockBackend, NewTask, TaskId};

use crate::daemon::{Daemon, Options};
use crate::gauge;
use crate::rows::Row;
use crate::stats::number;
use crate::world::{World, all_answered};

/// `--check-interval` here, in seconds.
const INTERVAL: f64 = 5.0;

/// Its workers: they must not add up.
const WORKERS: usize = 8;

/// The idle runner.
#[derive(Debug)]
pub(crate) struct Idle {
    daemon: Daemon,
    begun: Instant,
    cpu: f64,
    /// KiB, a moment after it has warmed up.
    pub(crate) memory: f64,
    backend: Backend,
}

/// The backend that it asks.
struct Backend(MockBackend);

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.url())
    }
}

/// What its time came to.
#[derive(Debug)]
pub(crate) struct Idled {
    seconds: f64,
    /// Milliseconds of processor time.
    cpu: f64,
    questions: usize,
    /// Milliseconds from the hand-in of a task to its claim.
    wait: f64,
}

impl Idle {
    /// Starts it, on a state folder of its own, and waits until it idles.
    pub(crate) async fn begin(world: &World) -> Result<Self, String> {
        let backend = world.backend().await?;
        let options =
            Options { state: "idle", sandbox: "auto", workers: WORKERS, interval: "5", ..Options::default() };
        let daemon = Daemon::start(world, &backend, options)?;
        daemon.first_poll(&backend).await?;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let pid = daemon.pid();
        let (cpu, memory) = (gauge::fine_cpu(pid), gauge::status(pid, "VmRSS"));
        Ok(Self { daemon, begun: Instant::now(), cpu, memory, backend: Backend(backend) })
    }

    /// Takes its measure, and hands it a task, whose claim may be five seconds away.
    pub(crate) fn wake(self, world: &World) -> Woken {
        let (seconds, cpu) =
            (self.begun.elapsed().as_secs_f64(), gauge::fine_cpu(self.daemon.pid()) - self.cpu);
        let asked = |request: &&mock_backend::RequestRecord| {
            request.endpoint == Some(Endpoint::Claim) && request.at > self.begun
        };
        let questions = self.backend.0.requests().iter().filter(asked).count();
        self.backend.0.submit(NewTask::new(&world.student(), "main").id(TaskId::from(1)));
        let idled = Idled { seconds, cpu, questions, wait: 0.0 };
        Woken { daemon: self.daemon, backend: self.backend, idled }
    }
}

/// One that was handed a task.
#[derive(Debug)]
pub(crate) struct Woken {
    daemon: Daemon,
    backend: Backend,
    idled: Idled,
}

impl Woken {
    /// Waits for the answer.
    pub(crate) async fn end(self) -> Result<Idled, String> {
        all_answered(&self.backend.0).await?;
        let attempts = self.backend.0.attempts();
        let wait =
            attempts.first().and_then(|attempt| Some(attempt.claimed?.duration_since(attempt.created)));
        self.daemon.stop().await?;
        Ok(Idled { wait: wait.map_or(0.0, |wait| wait.as_secs_f64() * 1e3), ..self.idled })
    }
}

impl Idled {
    /// The rows.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let share = self.cpu / self.seconds / 10.0;
        // The pauses are up to a tenth shorter than the interval, so that many runners do not ask in step.
        let most = (self.seconds / (INTERVAL * 0.9)).floor() + 1.0;
        let each = number(self.questions) / (self.seconds / INTERVAL);
        let over = format!("over {:.0} s with {WORKERS} workers", self.seconds);
        vec![
            Row::told(
                "idle cost at --check-interval 5: processor",
                format!("{share:.4} % of a core: {:.1} ms (to the ns, by schedstat) {over}", self.cpu),
            )
            .bar("< 0.05 % of a core", share < 0.05)
            .value("share_percent", share),
            Row::told(
                "idle cost at --check-interval 5: requests",
                format!("{each:.2} an interval: {} {over}; pauses are up to a tenth shorter", self.questions),
            )
            .bar("one an interval", number(self.questions) <= most)
            .value("requests", number(self.questions))
            .by_design(),
            Row::told("a task that meets an idle runner, --check-interval 5", format!("{:.0} ms", self.wait))
                .bar("<= 5,000 ms", self.wait <= INTERVAL * 1e3 + 20.0)
                .value("wait_ms", self.wait),
        ]
    }
}
