//! Measures the first task of a runner on an empty state folder.

use mock_backend::MockBackend;

use crate::daemon::{Daemon, Options};
use crate::row::Row;
use crate::world::{World, wait_for_all_results};

/// Times of the first task.
#[derive(Debug)]
pub(crate) struct FirstTask {
    /// Duration of creating the environment, as logged.
    environment: Option<String>,
    environment_before_task: bool,
    /// Milliseconds from the start of the runner to the first request.
    ready_ms: f64,
    /// Milliseconds from the claim to the result.
    result_ms: f64,
}

/// Starts a runner on an empty state folder with a pending task. Leaves a warm state folder.
///
/// # Errors
/// Returns a message if the runner fails or the task has no result in time.
pub(crate) async fn measure(world: &World) -> Result<FirstTask, String> {
    let backend = world.backend().await?;
    world.submit(&backend, "first", 0, 1);
    let daemon = Daemon::start(world, &backend, Options::default())?;
    let ready_ms = daemon.first_poll(&backend).await?.as_secs_f64() * 1e3;
    wait_for_all_results(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    let log = daemon.log();
    daemon.stop().await?;
    let line_of = |message: &str| log.lines().position(|line| line.contains(message));
    let (created, started) = (line_of("environment is ready"), line_of("task started"));
    let line = created.and_then(|number| log.lines().nth(number));
    let elapsed = line.and_then(|line| line.split_once("elapsed=")).map(|(_, elapsed)| elapsed.to_owned());
    Ok(FirstTask {
        environment: elapsed,
        environment_before_task: created.zip(started).is_some_and(|(created, started)| created < started),
        ready_ms,
        result_ms: result_ms(&backend),
    })
}

/// Milliseconds from the claim to the result of the first attempt.
fn result_ms(backend: &MockBackend) -> f64 {
    let attempts = backend.attempts();
    let times =
        attempts.first().and_then(|attempt| Some((attempt.claimed?, attempt.result.as_ref()?.received)));
    times.map_or(0.0, |(claimed, received)| received.duration_since(claimed).as_secs_f64() * 1e3)
}

impl FirstTask {
    /// The row of the table.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let environment = self.environment.as_deref().unwrap_or("a time missing in the log");
        let measured = format!(
            "{:.1} ms; ready to claim after {:.0} ms; environment created in {environment}, as logged",
            self.result_ms, self.ready_ms
        );
        vec![
            Row::new(
                "claim to result accepted, first task on an empty state folder, suite included",
                measured,
            )
            .limit("environment created before the task, time logged", self.environment_before_task)
            .value("result_ms", self.result_ms)
            .value("ready_ms", self.ready_ms),
        ]
    }
}
