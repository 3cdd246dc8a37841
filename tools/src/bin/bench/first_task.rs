//! Measures the first task of a runner on an empty state folder.

use mock_backend::MockBackend;
use tools::log::LogLine;

use crate::daemon::{Daemon, Options};
use crate::row::Row;
use crate::world::{World, wait_for_all_results};

/// Times of the first task.
#[derive(Debug)]
pub(crate) struct FirstTask {
    /// Duration of creating the environment in seconds, as logged.
    environment: Option<f64>,
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
    let lines = LogLine::parse_all(&daemon.log());
    daemon.stop().await?;
    let position = |event: &str| lines.iter().position(|line| line.is(event));
    let (created, started) = (position("environment_ready"), position("task_started"));
    Ok(FirstTask {
        environment: created.and_then(|position| lines[position].elapsed),
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
        let environment = self.environment.map_or("unknown".to_owned(), |time| format!("{time:.1} s"));
        let measured = format!(
            "{:.1} ms; ready to claim after {:.0} ms; logged time of creating the environment: {environment}",
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
