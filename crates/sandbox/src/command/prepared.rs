//! A command that is prepared and not started: its supervisor has made everything that it needs and waits for a request.
//! A sandbox can so be made while the task's repository is still being fetched.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout;

use super::error::StartError;
use super::observer::{Observed, Observer};
use super::output;
use super::protocol::{Event, Part, Request};
use super::running::Running;

/// A command that is ready to start. Dropping it ends it, as dropping a running one does.
#[derive(Debug)]
pub struct Prepared {
    pub(super) running: Running,
    pub(super) program: String,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

impl Prepared {
    /// Starts the program.
    ///
    /// # Errors
    /// [`StartError`] if the program cannot be executed, or if a part of the preparation has failed.
    pub async fn start(self) -> Result<Running, StartError> {
        let Self { mut running, program, observer } = self;
        running.started = Instant::now();
        // A supervisor that has failed sends an event as well.
        running.send(Request::Start).await;
        match running.next_event().await? {
            Event::Started => {
                running.observed = Some(Observed::new(observer));
                Ok(running)
            }
            Event::Failed(failed) => {
                let errno = failed.errno();
                if failed.part == Part::Program {
                    return Err(StartError::Program { program, reason: failed.reason, errno });
                }
                // bubblewrap's message says more than that it ended.
                let message = output::collect(running.stderr.take()).await.last_line();
                let reason = match message {
                    Some(message) => format!("{}: {message}", failed.reason),
                    None => failed.reason,
                };
                Err(StartError::Sandbox { reason, errno })
            }
            Event::Plugin(_) | Event::Ended(_) => {
                Err(io::Error::other("the supervisor ended before it began").into())
            }
        }
    }

    /// Ends the command and waits until nothing of it is left: then another task may get its user, for example.
    pub async fn cancel(mut self) {
        let running = &mut self.running;
        running.send(Request::Kill).await;
        // The supervisor sends an event when everything has ended, unless it was killed or is stuck.
        if !matches!(timeout(running.grace, running.next_event()).await, Ok(Ok(_))) {
            running.kill_orphans().await;
        }
    }
}
