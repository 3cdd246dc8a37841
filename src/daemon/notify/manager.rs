//! The messages to the service manager.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, sleep, sleep_until};

use super::{socket, socket::Socket, status};
use crate::observe::Observe;
use crate::pipeline::stop::Stop;

/// Shortest time between two status lines; more of them would only cost time.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// How often a draining runner requests more time, and how much.
const EXTENSION: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// The service manager, if one has started the runner.
#[derive(Debug)]
pub struct Manager {
    socket: Option<Socket>,
    /// The manager kills a runner that sends nothing for this long.
    watchdog: Option<Duration>,
}

/// State of the drain.
#[derive(Clone, Copy)]
enum Stopping {
    No,
    /// The next request for more time is due at this moment.
    Draining(tokio::time::Instant),
    /// Running tasks are interrupted; the last request for time was made.
    Interrupted,
}

impl Manager {
    /// The manager that the environment names.
    pub fn from_environment() -> Self {
        let (socket, watchdog) = socket::from(|name| std::env::var_os(name));
        Self { socket, watchdog }
    }

    /// The manager that listens at `socket`, written as in `NOTIFY_SOCKET`, with its watchdog interval.
    ///
    /// # Errors
    /// `socket` is not an absolute path or an abstract name, or no socket can be made.
    pub fn at(socket: &std::ffi::OsStr, watchdog: Option<Duration>) -> std::io::Result<Self> {
        Ok(Self { socket: Some(Socket::named(socket)?), watchdog })
    }

    /// Reports that the runner is ready: its settings are valid, its state folder is locked, its sandbox was tried, it
    /// listens. The backend and the suite's remote do not count, because the service must not fail while they are down.
    pub async fn ready(&self) {
        self.send("READY=1").await;
    }

    /// Reports that the settings are read again. [`Self::ready`] must follow.
    pub async fn reloading(&self) {
        // By this time the manager assigns the message to a reload.
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map(Duration::from);
        let micros = now.unwrap_or_default().as_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}")).await;
    }

    async fn send(&self, message: &str) {
        if let Some(socket) = &self.socket {
            socket.send(message).await;
        }
    }

    /// Sends the status line, the watchdog messages and the requests for time of a drain, as long as it is polled.
    /// `wind_up` is the longest time that interrupted work takes to end.
    pub async fn run(&self, observe: &Observe, stop: &Stop, wind_up: Duration) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        let mut pulse = self.watchdog.map(|limit| {
            // Half the limit, as sd_watchdog_enabled(3) recommends.
            let mut pulse = tokio::time::interval(limit / 2);
            pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pulse
        });
        let (mut sent, mut sent_at) = (String::new(), None);
        let mut stopping = Stopping::No;
        let mut healthy = true;
        loop {
            let status = status::line(observe);
            let due = sent_at.map(|at: tokio::time::Instant| at + STATUS_INTERVAL);
            if status != sent && due.is_none_or(|due| due <= tokio::time::Instant::now()) {
                if socket.send(&format!("STATUS={status}")).await {
                    sent.clone_from(&status);
                }
                sent_at = Some(tokio::time::Instant::now());
            }
            tokio::select! {
                () = tick(pulse.as_mut()) => healthy = feed(socket, observe, healthy).await,
                // A change soon after a line waits until the next line is due.
                () = wait_until(due), if status != sent => {}
                () = observe.changed() => {}
                () = next_stop_message(stop, stopping) => stopping = extend(socket, stop, stopping, wind_up).await,
            }
        }
    }
}

/// Waits for the next tick; for ever without a watchdog.
async fn tick(pulse: Option<&mut tokio::time::Interval>) {
    match pulse {
        Some(pulse) => drop(pulse.tick().await),
        None => std::future::pending().await,
    }
}

async fn wait_until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => sleep(STATUS_INTERVAL).await,
    }
}

/// Feeds the watchdog unless the poll loop is stuck; then the manager restarts the runner. An unreachable backend or a
/// long task is no reason.
async fn feed(socket: &Socket, observe: &Observe, healthy: bool) -> bool {
    let stuck = observe.health().stuck_at(Instant::now());
    match stuck {
        None => {
            socket.send("WATCHDOG=1").await;
            true
        }
        Some(why) => {
            if healthy {
                tracing::error!(name: "watchdog_stopped", target: "critical", why, "the watchdog is not fed any more, so the service manager restarts the runner");
            }
            false
        }
    }
}

/// Waits until the next message about the stop is due.
async fn next_stop_message(stop: &Stop, stopping: Stopping) {
    match stopping {
        Stopping::No => stop.drain.cancelled().await,
        Stopping::Draining(due) => tokio::select! {
            () = stop.interrupt.cancelled() => {}
            () = sleep_until(due) => {}
        },
        Stopping::Interrupted => std::future::pending().await,
    }
}

/// Requests the time that the drain takes. Its limit is a setting of the runner, not of the unit.
async fn extend(socket: &Socket, stop: &Stop, before: Stopping, wind_up: Duration) -> Stopping {
    let (every, by) = EXTENSION;
    let interrupted = stop.interrupt.is_cancelled();
    let time = if interrupted { wind_up } else { by };
    let first = if matches!(before, Stopping::No) { "STOPPING=1\n" } else { "" };
    socket.send(&format!("{first}EXTEND_TIMEOUT_USEC={}", time.as_micros())).await;
    if interrupted { Stopping::Interrupted } else { Stopping::Draining(tokio::time::Instant::now() + every) }
}
