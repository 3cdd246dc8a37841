//! What the service manager is told (sd_notify(3)): that the runner is ready, what it does, that its poll loop goes on,
//! and that a stop takes as long as the tasks in hand. Without `NOTIFY_SOCKET` nothing of this costs anything.

mod socket;
mod status;

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, sleep, sleep_until};

use crate::observe::Observe;
use crate::pipeline::stop::Stop;
use socket::Socket;

/// The least time between two lines of `STATUS=`: a runner in full swing is nobody's reading.
const PACE: Duration = Duration::from_secs(1);

/// How often a draining runner asks for more time, and for how much.
const EXTENSION: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// The service manager, if the runner was started by one.
#[derive(Debug)]
pub struct Manager {
    socket: Option<Socket>,
    /// The manager kills a runner that is silent for this long.
    watchdog: Option<Duration>,
}

/// Where the drain is.
#[derive(Clone, Copy)]
enum Stopping {
    No,
    /// More time is asked for then.
    Draining(tokio::time::Instant),
    /// What runs is interrupted: the last request for time was made.
    Interrupted,
}

impl Manager {
    /// The one that the environment names.
    pub fn from_environment() -> Self {
        let (socket, watchdog) = socket::from(|name| std::env::var_os(name));
        Self { socket, watchdog }
    }

    /// The one that listens at `socket`, as in `NOTIFY_SOCKET`, and wants a sign of life this often.
    pub fn at(socket: &std::ffi::OsStr, watchdog: Option<Duration>) -> std::io::Result<Self> {
        Ok(Self { socket: Some(Socket::named(socket)?), watchdog })
    }

    /// The runner is ready: its settings are right, its state is its own, its sandbox was tried, it listens. Neither
    /// the backend nor the suite's remote has a part in it: a service is not to fail since something else is down.
    pub async fn ready(&self) {
        self.tell("READY=1").await;
    }

    /// The settings are read again; to be followed by [`Self::ready`].
    pub async fn reloading(&self) {
        // The manager tells by the time which of two reloads a message is about.
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let micros = now.unwrap_or_default().as_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}")).await;
    }

    async fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket {
            socket.send(message).await;
        }
    }

    /// Tells of all else, for as long as it is polled. `wind_up` is the longest that interrupted work takes to end.
    pub async fn run(&self, observe: &Observe, stop: &Stop, wind_up: Duration) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        let mut pulse = self.watchdog.map(|limit| {
            // Half of it, as sd_watchdog_enabled(3) has it.
            let mut pulse = tokio::time::interval(limit / 2);
            pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pulse
        });
        let (mut said, mut said_at) = (String::new(), None);
        let mut stopping = Stopping::No;
        let mut healthy = true;
        loop {
            let status = status::line(observe);
            let due = said_at.map(|at: tokio::time::Instant| at + PACE);
            if status != said && due.is_none_or(|due| due <= tokio::time::Instant::now()) {
                if socket.send(&format!("STATUS={status}")).await {
                    said.clone_from(&status);
                }
                said_at = Some(tokio::time::Instant::now());
            }
            tokio::select! {
                () = tick(pulse.as_mut()) => healthy = feed(socket, observe, healthy).await,
                // What changes right after a line waits for the next one's time.
                () = until(due), if status != said => {}
                () = observe.changed() => {}
                () = next(stop, stopping) => stopping = extend(socket, stop, stopping, wind_up).await,
            }
        }
    }
}

async fn tick(pulse: Option<&mut tokio::time::Interval>) {
    match pulse {
        Some(pulse) => drop(pulse.tick().await),
        None => std::future::pending().await,
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => sleep(PACE).await,
    }
}

/// A sign of life, but for a poll loop that is stuck: then the manager is to restart the runner. That the backend is
/// away or a task takes long is no such thing.
async fn feed(socket: &Socket, observe: &Observe, healthy: bool) -> bool {
    let stuck = observe.health().stuck_at(Instant::now());
    match stuck {
        None => {
            socket.send("WATCHDOG=1").await;
            true
        }
        Some(why) => {
            if healthy {
                tracing::error!(name: "watchdog_stopped", target: "critical", why, "the watchdog is not fed any more: the service manager restarts the runner");
            }
            false
        }
    }
}

/// When the manager is to be told of the stop again.
async fn next(stop: &Stop, stopping: Stopping) {
    match stopping {
        Stopping::No => stop.drain.cancelled().await,
        Stopping::Draining(due) => tokio::select! {
            () = stop.interrupt.cancelled() => {}
            () = sleep_until(due) => {}
        },
        Stopping::Interrupted => std::future::pending().await,
    }
}

/// Asks for the time that the drain takes: how long that may be is the runner's own setting, not the unit's.
async fn extend(socket: &Socket, stop: &Stop, before: Stopping, wind_up: Duration) -> Stopping {
    let (every, by) = EXTENSION;
    let interrupted = stop.interrupt.is_cancelled();
    let time = if interrupted { wind_up } else { by };
    let first = if matches!(before, Stopping::No) { "STOPPING=1\n" } else { "" };
    socket.send(&format!("{first}EXTEND_TIMEOUT_USEC={}", time.as_micros())).await;
    if interrupted { Stopping::Interrupted } else { Stopping::Draining(tokio::time::Instant::now() + every) }
}
