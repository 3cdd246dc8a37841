//! The first task of a runner that has nothing yet.

use mock_backend::MockBackend;

use crate::daemon::{Daemon, Options};
use crate::rows::Row;
use crate::world::{World, all_answered};

/// What the first start came to.
#[derive(Debug)]
pub(crate) struct First {
    /// What the log says of the environment, if it says anything.
    made: Option<String>,
    made_before_claim: bool,
    /// Milliseconds from the start to the first question, and from the claim to the result.
    ready: f64,
    answer: f64,
}

/// Starts a runner on an empty state folder, with a task that waits for it. Leaves a warm folder.
pub(crate) async fn measure(world: &World) -> Result<First, String> {
    let backend = world.backend().await?;
    world.submit(&backend, "first", 0, 1);
    let daemon = Daemon::start(world, &backend, Options::default())?;
    let ready = daemon.first_poll(&backend).await?.as_secs_f64() * 1e3;
    all_answered(&backend).await.map_err(|error| format!("{error}\n{}", daemon.log()))?;
    let log = daemon.log();
    daemon.stop().await?;
    let place = |said: &str| log.lines().position(|line| line.contains(said));
    let (made, started) = (place("environment is ready"), place("task started"));
    let line = made.and_then(|number| log.lines().nth(number));
    let elapsed = line.and_then(|line| line.split_once("elapsed=")).map(|(_, elapsed)| elapsed.to_owned());
    Ok(First {
        made: elapsed,
        made_before_claim: made.zip(started).is_some_and(|(made, started)| made < started),
        ready,
        answer: answer(&backend),
    })
}

fn answer(backend: &MockBackend) -> f64 {
    let attempts = backend.attempts();
    let times =
        attempts.first().and_then(|attempt| Some((attempt.claimed?, attempt.result.as_ref()?.received)));
    times.map_or(0.0, |(claimed, received)| received.duration_since(claimed).as_secs_f64() * 1e3)
}

impl First {
    /// The row.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let said = self.made.as_deref().unwrap_or("a time that the log does not say");
        let measured = format!(
            "{:.1} ms; ready to claim after {:.0} ms, the environment made in {said} as the log says",
            self.answer, self.ready
        );
        vec![
            Row::told("the same, first task on an empty state folder, with the suite's own", measured)
                .bar(
                    "the environment is made before the claim; the log says its time",
                    self.made_before_claim,
                )
                .value("answer_ms", self.answer)
                .value("ready_ms", self.ready),
        ]
    }
}
