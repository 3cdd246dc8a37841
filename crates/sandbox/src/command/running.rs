//! A command that runs.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::exit::{Exit, PluginEvent, Stopped};
use super::limit_hit::LimitHit;
use super::observer::{CommandEnd, Observed};
use super::output::{self, Captured};
use super::protocol::{Ended, Event, Request};
use super::supervised::Supervised;
use super::tree;

/// Bytes of events that are kept of one command; later events are dropped.
const MAX_EVENT_BYTES: usize = 64 << 20;

/// Searches for orphans that find none before they are taken to be gone: a process in the middle of an exec shows no
/// environment for a moment.
const QUIET_SEARCHES: usize = 3;

/// A command that runs. Dropping it ends the command and everything that it started.
#[derive(Debug)]
pub struct Running {
    pub(super) supervisor: Supervised,
    /// The environment variable that marks the command's processes, with its value.
    pub(super) mark: String,
    pub(super) control: OwnedWriteHalf,
    pub(super) event_stream: BufReader<OwnedReadHalf>,
    /// The part of an event that has been read.
    pub(super) line: String,
    pub(super) stdout: Option<JoinHandle<Captured>>,
    pub(super) stderr: Option<JoinHandle<Captured>>,
    /// Bytes of stdout and stderr together.
    pub(super) flow: Arc<output::Flow>,
    /// Whether the supervisor was asked to end the command because of too much output.
    pub(super) flooded: bool,
    pub(super) started: Instant,
    /// Time between two of SIGINT, SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// Reports the command's end to the observer; none before its start.
    pub(super) observed: Option<Observed>,
    pub(super) stopped: Option<Stopped>,
    pub(super) ended: Option<Ended>,
    pub(super) events: Vec<PluginEvent>,
    pub(super) event_bytes: usize,
}

impl Running {
    /// Waits for the end of the command and of everything that it started. Safe to drop and call again.
    pub async fn ended(&mut self) {
        let flow = self.flow.clone();
        while self.ended.is_none() {
            let watches = !self.flooded;
            let event = tokio::select! {
                event = self.next_event() => event,
                () = flow.exceeded(), if watches => {
                    self.flooded = true;
                    self.send(Request::KillForOutput).await;
                    continue;
                }
            };
            self.ended = match event {
                Ok(Event::Ended(ended)) => Some(ended),
                Ok(Event::Plugin(event)) => {
                    self.keep(event);
                    None
                }
                Ok(_) => None,
                // The supervisor ended without an event: somebody killed it. Its processes are killed from here.
                Err(_) => Some(self.kill_orphans().await),
            };
        }
    }

    /// Stops the command: SIGINT to its group, SIGTERM after the grace, SIGKILL to everything after another grace.
    pub async fn stop(mut self, why: Stopped) -> Exit {
        for request in [Request::Interrupt, Request::Terminate, Request::Kill] {
            self.send(request).await;
            if timeout(self.grace, self.ended()).await.is_ok() {
                break;
            }
        }
        if self.ended.is_none() {
            // A supervisor that does not answer a kill was stopped or is stuck.
            self.ended = Some(self.kill_orphans().await);
        }
        self.stopped = Some(why);
        self.finish().await
    }

    /// Waits for the command's end, and returns its result.
    pub async fn finish(mut self) -> Exit {
        self.ended().await;
        let mut ended = self.ended.take().unwrap_or_default();
        let stdout = output::collect(self.stdout.take()).await;
        let stderr = output::collect(self.stderr.take()).await;
        // The command may end after too much output, before it is killed for that.
        if self.flow.is_exceeded() && !ended.limit_hits.contains(&LimitHit::Output) {
            ended.limit_hits.push(LimitHit::Output);
        }
        if let Some(observed) = self.observed.take() {
            observed.ended(CommandEnd {
                stopped: self.stopped,
                leftovers: ended.leftovers,
                limit_hits: &ended.limit_hits,
            });
        }
        Exit {
            code: ended.code,
            signal: ended.signal,
            stopped: self.stopped,
            wall: self.started.elapsed(),
            cpu: ended.cpu,
            leftovers: ended.leftovers,
            memory_peak: ended.memory_peak,
            limit_hits: ended.limit_hits,
            events: std::mem::take(&mut self.events),
            report_error: ended.report_error,
            tampered_file: ended.tampered_file,
            stdout,
            stderr,
        }
    }

    fn keep(&mut self, event: PluginEvent) {
        self.event_bytes = self.event_bytes.saturating_add(event.line.len());
        if self.event_bytes <= MAX_EVENT_BYTES {
            self.events.push(event);
        }
    }

    /// Sends a request to the supervisor. A failed write means that it has just ended, which the next read finds out.
    pub(super) async fn send(&mut self, request: Request) {
        self.control.write_all(&[request.byte()]).await.ok();
    }

    /// Reads the supervisor's next event. Safe to drop and call again: what was read stays in `line`.
    pub(super) async fn next_event(&mut self) -> io::Result<Event> {
        let read = self.event_stream.read_line(&mut self.line).await?;
        if read == 0 || !self.line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let event = serde_json::from_str(&self.line).map_err(io::Error::other);
        self.line.clear();
        event
    }

    /// Kills a supervisor that failed, and everything that was below it.
    pub(super) async fn kill_orphans(&mut self) -> Ended {
        let mut killed = tree::kill_supervisor(self.supervisor.id());
        let mut quiet = 0;
        for _ in 0..100 {
            let found = tree::kill_marked(&self.mark);
            quiet = if found.is_empty() { quiet + 1 } else { 0 };
            killed.extend(found);
            if quiet == QUIET_SEARCHES {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let leftovers = u32::try_from(killed.len()).unwrap_or(u32::MAX);
        Ended { signal: Some(nix::libc::SIGKILL), leftovers, ..Ended::default() }
    }
}
