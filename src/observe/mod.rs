//! What is known of this run: counts and times, what is being worked on, and how things stand around the runner.
//!
//! One value, made where the parts are put together and handed to each of them; no statics. To report is cheap and
//! never fails; nothing here decides anything. The names of the metrics are an interface: docs/metrics.md.

mod commands;
mod health;
pub mod logging;
mod metrics;
pub mod prometheus;
pub mod screen;
pub mod serve;
mod tasks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::task::TaskId;
pub use health::{Health, Phase, Suite};
use metrics::Metrics;
use prometheus::Text;
use report::Report;
use tasks::Tasks;
pub use tasks::{Delivery, Ended, Watched, Working};

/// What came of a question for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// A task.
    Task,
    /// There was none.
    Empty,
    /// The backend could not be asked, or its answer could not be used.
    Failed,
    /// It was not asked, since the spool could not take a task.
    NoRoom,
}

/// What came of a login or a refresh of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// There are tokens.
    Accepted,
    /// The backend said no.
    Refused,
    /// The backend could not be asked, or its answer could not be used.
    Failed,
}

/// How tasks are confined.
#[derive(Debug, Clone)]
pub struct Confinement {
    /// The level, as on the command line.
    pub level: &'static str,
    /// What is enforced: words of the form `feature=how`.
    pub line: String,
    /// Why it is not stronger.
    pub weaker_because: Option<String>,
}

/// What is known of a run; clones are the same.
#[derive(Debug, Clone)]
pub struct Observe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    started_at: SystemTime,
    metrics: Metrics,
    tasks: Mutex<Tasks>,
    health: Mutex<Health>,
    confinement: Mutex<Confinement>,
    /// Woken when there is something new to be said of the run in a line.
    news: tokio::sync::Notify,
}

impl Default for Confinement {
    /// As where nothing is run.
    fn default() -> Self {
        Self { level: "none", line: String::new(), weaker_because: None }
    }
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
            news: tokio::sync::Notify::new(),
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the parts of the runner report.
impl Observe {
    /// The poll loop has gone on to `phase`, which lasts for `allowed` at the most; none: as long as tasks run.
    pub fn phase(&self, phase: Phase, allowed: Option<Duration>) {
        lock(&self.0.health).enter(phase, allowed);
        self.0.news.notify_one();
    }

    /// Tasks that may run at a time.
    pub fn slots(&self, count: usize) {
        self.0.metrics.slots.set(count as u64);
        self.0.news.notify_one();
    }

    /// What a question for a task came to.
    pub fn polled(&self, polled: Polled) {
        self.0.metrics.polls.add([match polled {
            Polled::Task => "task",
            Polled::Empty => "empty",
            Polled::Failed => "failed",
            Polled::NoRoom => "no_room",
        }]);
    }

    /// Whether the spool can take a task; if not, why.
    pub fn room(&self, room: Result<(), String>) {
        lock(&self.0.health).room = room.err();
        self.0.news.notify_one();
    }

    /// A task is being worked on, until what this returns is dropped. `again`: it is one of an earlier run.
    pub fn task(&self, id: &TaskId, again: bool) -> Watched {
        let counter = if again { &self.0.metrics.resumed } else { &self.0.metrics.claims };
        counter.add(1);
        Watched::new(self.clone(), id.short())
    }

    /// An exchange with the backend came to a status, or to nothing.
    pub fn contact(&self, contact: Result<u16, String>) {
        let away = contact.is_err();
        let trouble = match contact {
            Ok(status) if status < 500 => None,
            Ok(status) => Some(format!("it answers {status}")),
            Err(why) => Some(why),
        };
        let mut health = lock(&self.0.health);
        health.backend_asked = true;
        if trouble.is_none() {
            health.backend_answered = Some(Instant::now());
        }
        health.backend = trouble;
        health.backend_away = away;
        self.0.news.notify_one();
    }

    /// Whether the last question for a task was answered as such; if not, why. Apart from [`Self::contact`]: what another
    /// path answers says nothing of it.
    pub fn claimable(&self, claimable: Result<(), String>) {
        lock(&self.0.health).claims = claimable.err();
        self.0.news.notify_one();
    }

    /// The backend wants a login, and there has been none yet.
    pub fn login_needed(&self) {
        lock(&self.0.health).credentials = Some("not logged in yet".to_owned());
        self.0.news.notify_one();
    }

    /// Whether the backend takes what the runner logs in with, or its requests without a login; if not, why.
    pub fn credentials(&self, taken: Result<(), String>) {
        let mut health = lock(&self.0.health);
        health.credentials_taken |= taken.is_ok();
        health.credentials = taken.err();
        self.0.news.notify_one();
    }

    /// A login was tried.
    pub fn login(&self, granted: Granted) {
        self.0.metrics.logins.add([outcome(granted)]);
    }

    /// A refresh of the tokens was tried.
    pub fn refresh(&self, granted: Granted) {
        self.0.metrics.refreshes.add([outcome(granted)]);
    }

    /// The suite's mirror was looked after: its remote answered, or why it did not.
    pub fn suite(&self, refreshed: Result<(), String>) {
        let mut health = lock(&self.0.health);
        if refreshed.is_ok() {
            health.suite.refreshed = Some(Instant::now());
        }
        health.suite.trouble = refreshed.err();
        self.0.news.notify_one();
    }

    /// What is being done to make the suite ready; none: nothing more.
    pub fn suite_step(&self, doing: Option<&'static str>) {
        lock(&self.0.health).suite.doing = doing;
        self.0.news.notify_one();
    }

    /// All that tasks share is there.
    pub fn warm(&self) {
        lock(&self.0.health).suite.ready = true;
        self.0.news.notify_one();
    }

    /// A result was sent once.
    pub fn delivery_attempt(&self) {
        self.0.metrics.delivery_attempts.add(1);
    }

    /// A result was not taken, and is sent again.
    pub fn delivery_retried(&self) {
        self.0.metrics.delivery_retries.add(1);
    }

    /// The backend has taken the result of `id`, after this long.
    pub fn delivered(&self, id: &str, after: Duration) {
        self.0.metrics.deliveries.add(["accepted"]);
        self.0.metrics.times.observe("deliver", after);
        lock(&self.0.tasks).delivered(id, Delivery::Accepted(after));
    }

    /// The backend has refused the result of `id` for good.
    pub fn rejected(&self, id: &str, status: u16) {
        self.0.metrics.deliveries.add(["rejected"]);
        lock(&self.0.tasks).delivered(id, Delivery::Rejected(status));
    }

    /// How tasks are confined.
    pub fn confined(&self, confinement: Confinement) {
        *lock(&self.0.confinement) = confinement;
    }

    fn progress_ended(&self, progress: &'static str, took: Duration) {
        self.0.metrics.times.observe(progress, took);
    }

    fn result(&self, report: &Report, took: Duration) {
        let metrics = &self.0.metrics;
        metrics.results.add([report.verdict().name()]);
        if let Some(fault) = &report.fault {
            metrics.faults.add([fault.progress.name(), fault.cause.name()]);
        }
        metrics.task_time.observe(took.as_secs_f64());
        if let Some(cpu) = report.cpu {
            metrics.task_cpu.observe(cpu.as_secs_f64());
        }
        if let Some(memory) = report.memory_peak() {
            #[expect(clippy::cast_precision_loss, reason = "buckets are far coarser")]
            metrics.task_memory.observe(memory as f64);
        }
    }
}

/// What is asked of it.
impl Observe {
    /// When the run began, by the clock on the wall.
    pub fn started_at(&self) -> SystemTime {
        self.0.started_at
    }

    /// How long it has lasted.
    pub fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Tasks that may run at a time.
    pub fn slot_count(&self) -> u64 {
        self.0.metrics.slots.get()
    }

    /// What is being worked on, in the order in which it was taken.
    pub fn working(&self) -> Vec<Working> {
        lock(&self.0.tasks).working()
    }

    /// The last tasks that have a result, newest first.
    pub fn ended(&self) -> Vec<Ended> {
        lock(&self.0.tasks).ended()
    }

    /// Waits until something may have changed of the phase, the tasks in hand or the troubles. For one who waits.
    pub async fn changed(&self) {
        self.0.news.notified().await;
    }

    /// How things stand.
    pub fn health(&self) -> Health {
        lock(&self.0.health).shown()
    }

    /// How tasks are confined.
    pub fn confinement(&self) -> Confinement {
        lock(&self.0.confinement).clone()
    }

    /// All counts and times in Prometheus' text format.
    pub fn write(&self, out: &mut Text) {
        out.head("build_info", "gauge", "The version that runs.");
        out.sample("build_info", &[("version", env!("OSTEST_VERSION"))], 1.0);
        let confinement = self.confinement();
        out.head("sandbox_info", "gauge", "How tasks are confined: the level, and each feature.");
        let features: Vec<(String, &str)> = confinement
            .line
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .map(|(feature, how)| (feature.replace('-', "_"), how))
            .collect();
        let mut labels = vec![("level", confinement.level)];
        labels.extend(features.iter().map(|(feature, how)| (feature.as_str(), *how)));
        out.sample("sandbox_info", &labels, 1.0);
        out.head("slots_busy", "gauge", "Tasks that are being worked on.");
        out.count("slots_busy", &[], self.working().len() as u64);
        self.0.metrics.write(out);
        let health = self.health();
        out.head("suite_age_seconds", "gauge", "Time since the suite's remote was last asked; -1: not yet.");
        let age = health.suite.refreshed.map_or(-1.0, |at| at.elapsed().as_secs_f64());
        out.sample("suite_age_seconds", &[], age);
        out.head(
            "backend_last_answer_age_seconds",
            "gauge",
            "Time since the backend last answered; -1: not yet.",
        );
        let age = health.backend_answered.map_or(-1.0, |at| at.elapsed().as_secs_f64());
        out.sample("backend_last_answer_age_seconds", &[], age);
    }
}

fn outcome(granted: Granted) -> &'static str {
    match granted {
        Granted::Accepted => "accepted",
        Granted::Refused => "refused",
        Granted::Failed => "failed",
    }
}

#[cfg(test)]
mod tests;
