//! A step before its begin: a supervisor has all of it ready and waits for the word. What a sandbox takes to be made is
//! so not in the way of a task whose repository is still being fetched.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::observer::{Observed, Observer};
use super::{Event, Running, StartError, output, supervisor};

/// A step that is ready to begin. Dropping it ends what is there of it, as with one that runs.
#[derive(Debug)]
pub struct Held {
    pub(super) running: Running,
    pub(super) program: String,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

impl Held {
    /// Lets it begin. What could not be made ready is told here.
    pub async fn go(self) -> Result<Running, StartError> {
        let Self { mut running, program, observer } = self;
        running.started = Instant::now();
        // One that has given up already says why.
        running.control.write_all(&[supervisor::GO]).await.ok();
        match running.next_event().await? {
            Event::Started => {
                running.watched = Some(Observed::new(observer));
                Ok(running)
            }
            Event::Failed { reason, sandbox: false } => Err(StartError::Program { program, reason }),
            Event::Failed { reason, sandbox: true } => {
                // bubblewrap's own words say more than that it ended.
                let words = output::collect(running.stderr.take()).await.last_line();
                Err(StartError::Sandbox(words.map_or(reason.clone(), |words| format!("{reason}: {words}"))))
            }
            Event::Told(_) | Event::Ended(_) => {
                Err(io::Error::other("the supervisor ended before it began").into())
            }
        }
    }

    /// Ends it, and waits until nothing is left of it: its user, say, may then be another task's.
    pub async fn give_up(mut self) {
        let running = &mut self.running;
        running.control.write_all(&[supervisor::KILL]).await.ok();
        // It says that it will not begin, when all is gone; or it was killed itself, or is stuck.
        if !matches!(timeout(running.grace, running.next_event()).await, Ok(Ok(_))) {
            running.inherit().await;
        }
    }
}
