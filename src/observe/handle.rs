//! The shared handle on the state of the process, and how to read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use prometheus_client::registry::Registry;

use super::confinement::Confinement;
use super::health::Health;
use super::metrics::Metrics;
use super::tasks::{FinishedTask, RunningTask, Tasks};

/// State of the running process. Clones share it.
#[derive(Debug, Clone)]
pub struct Observe(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    started: Instant,
    started_at: SystemTime,
    pub(super) metrics: Metrics,
    pub(super) tasks: Mutex<Tasks>,
    pub(super) health: Mutex<Health>,
    pub(super) confinement: Mutex<Confinement>,
    /// Woken when the phase, the running tasks or the health change.
    pub(super) changed: tokio::sync::Notify,
}

impl Default for Observe {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            started_at: SystemTime::now(),
            metrics: Metrics::default(),
            tasks: Mutex::default(),
            health: Mutex::default(),
            confinement: Mutex::default(),
            changed: tokio::sync::Notify::new(),
        }))
    }
}

/// Locks `mutex`. A panic while it was locked left whole values, so that a poisoned lock is taken too.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observe {
    /// When the process started, by the wall clock.
    pub fn started_at(&self) -> SystemTime {
        self.0.started_at
    }

    /// Time since the process started.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// How many tasks may run at the same time.
    pub fn slot_count(&self) -> u64 {
        self.0.metrics.slots.get()
    }

    /// The running tasks, in the order of their claims.
    pub fn running(&self) -> Vec<RunningTask> {
        lock(&self.0.tasks).running()
    }

    /// The last finished tasks, newest first; at most 50.
    pub fn finished(&self) -> Vec<FinishedTask> {
        lock(&self.0.tasks).finished()
    }

    /// Waits for a change of the phase, the running tasks or the health. Serves one waiting task.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The health of the poll loop, the backend, the spool and the suite.
    pub fn health(&self) -> Health {
        lock(&self.0.health).with_claim_trouble()
    }

    /// The counters and histograms of the process.
    pub(super) fn registry(&self) -> &Registry {
        &self.0.metrics.registry
    }

    /// How tasks are confined.
    pub fn confinement(&self) -> Confinement {
        lock(&self.0.confinement).clone()
    }
}
