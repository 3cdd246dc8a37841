//! A step that runs: its end, by itself or from here, and what is known of it then.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::observer::{CommandEnd, Observed};
use super::supervised::Supervised;
use super::{Captured, Ended, Event, Exit, Hit, Stopped, Told, output, supervisor, tree};

/// Bytes of lines that are kept of one step; what comes after is as if it had not been said.
const MOST_TOLD: usize = 64 << 20;

/// A step that runs. Dropping it ends the step and everything it started.
#[derive(Debug)]
pub struct Running {
    pub(super) supervisor: Supervised,
    pub(super) mark: String,
    pub(super) control: OwnedWriteHalf,
    pub(super) events: BufReader<OwnedReadHalf>,
    pub(super) line: String,
    pub(super) stdout: Option<JoinHandle<Captured>>,
    pub(super) stderr: Option<JoinHandle<Captured>>,
    /// What comes of both.
    pub(super) flow: Arc<output::Flow>,
    /// Too much came, and the supervisor was told.
    pub(super) flooded: bool,
    pub(super) started: Instant,
    pub(super) grace: Duration,
    /// Counts it, once it has started.
    pub(super) watched: Option<Observed>,
    pub(super) stopped: Option<Stopped>,
    pub(super) ended: Option<Ended>,
    pub(super) told: Vec<Told>,
    pub(super) told_bytes: usize,
}

impl Running {
    /// Waits for the end of the step and of everything it started. Safe to drop and call again.
    pub async fn ended(&mut self) {
        let flow = self.flow.clone();
        while self.ended.is_none() {
            let watches = !self.flooded;
            let event = tokio::select! {
                event = self.next_event() => event,
                () = flow.over(), if watches => {
                    self.flooded = true;
                    // A failed write means that the supervisor has just ended.
                    self.control.write_all(&[supervisor::FLOODED]).await.ok();
                    continue;
                }
            };
            self.ended = match event {
                Ok(Event::Ended(ended)) => Some(ended),
                Ok(Event::Told(told)) => {
                    self.note(told);
                    None
                }
                Ok(_) => None,
                // The supervisor is gone without a word: only a SIGKILL does that. What it watched over is ours now.
                Err(_) => Some(self.inherit().await),
            };
        }
    }

    /// Interrupts the step: SIGINT to its group, grace, SIGTERM, grace, SIGKILL to all that it started.
    pub async fn stop(mut self, why: Stopped) -> Exit {
        for request in [supervisor::INTERRUPT, supervisor::TERMINATE, supervisor::KILL] {
            // A failed write means that the supervisor has just ended; waiting finds that out.
            self.control.write_all(&[request]).await.ok();
            if timeout(self.grace, self.ended()).await.is_ok() {
                break;
            }
        }
        if self.ended.is_none() {
            // A supervisor that does not even answer a kill was stopped or is stuck: end everything from here.
            self.ended = Some(self.inherit().await);
        }
        self.stopped = Some(why);
        self.finish().await
    }

    fn note(&mut self, told: Told) {
        self.told_bytes = self.told_bytes.saturating_add(told.line.len());
        if self.told_bytes <= MOST_TOLD {
            self.told.push(told);
        }
    }

    /// Collects the output of a step that has ended.
    pub async fn finish(mut self) -> Exit {
        self.ended().await;
        let mut ended = self.ended.take().unwrap_or_default();
        let stdout = output::collect(self.stdout.take()).await;
        let stderr = output::collect(self.stderr.take()).await;
        // Too much, and at its end before anybody could end it.
        if self.flow.is_over() && !ended.hits.contains(&Hit::Output) {
            ended.hits.push(Hit::Output);
        }
        if let Some(watched) = self.watched.take() {
            watched.ended(CommandEnd {
                stopped: self.stopped,
                leftovers: ended.leftovers,
                hits: &ended.hits,
            });
        }
        Exit {
            code: ended.code,
            signal: ended.signal,
            stopped: self.stopped,
            wall: self.started.elapsed(),
            cpu: ended.cpu,
            leftovers: ended.leftovers,
            memory: ended.memory,
            hits: ended.hits,
            told: std::mem::take(&mut self.told),
            report: ended.report,
            spoiled: ended.spoiled,
            stdout,
            stderr,
        }
    }

    /// The next word of the supervisor's.
    pub(super) async fn next_event(&mut self) -> io::Result<Event> {
        // `line` lives in self: a cancelled read keeps what it had.
        let read = self.events.read_line(&mut self.line).await?;
        if read == 0 || !self.line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let event = serde_json::from_str(&self.line).map_err(io::Error::other);
        self.line.clear();
        event
    }

    /// Ends everything that a supervisor watched over which no longer does, and the supervisor with it.
    pub(super) async fn inherit(&mut self) -> Ended {
        let mut met = tree::kill_supervisor(self.supervisor.id());
        let mut quiet = 0;
        // Several looks that find nothing: a process in the middle of an exec shows no environment for a moment.
        for _ in 0..100 {
            let found = tree::kill_marked(&self.mark);
            quiet = if found.is_empty() { quiet + 1 } else { 0 };
            met.extend(found);
            if quiet == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let leftovers = u32::try_from(met.len()).unwrap_or(u32::MAX);
        Ended { signal: Some(nix::libc::SIGKILL), leftovers, ..Ended::default() }
    }
}
