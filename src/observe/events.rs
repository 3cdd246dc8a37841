//! The events that the parts of the runner report.

use std::time::{Duration, Instant};

use super::confinement::Confinement;
use super::handle::{Observe, lock};
use super::health::Phase;
use super::outcomes::{LoginOutcome, PollOutcome};
use super::tasks::Delivery;
use super::watch::TaskWatch;
use crate::task::TaskId;

impl Observe {
    /// The poll loop entered `phase`. It counts as stuck when the phase lasts much longer than `allowed`; `None`: never.
    pub fn phase(&self, phase: Phase, allowed: Option<Duration>) {
        lock(&self.0.health).enter(phase, allowed);
        self.0.changed.notify_one();
    }

    /// From now on `count` tasks may run at the same time.
    pub fn slots(&self, count: usize) {
        self.0.metrics.slots.set(count as u64);
        self.0.changed.notify_one();
    }

    /// A poll ended.
    pub fn polled(&self, outcome: PollOutcome) {
        self.0.metrics.polls.add([outcome.name()]);
    }

    /// The spool has room for a task, or has none, for this reason.
    pub fn spool_room(&self, room: Result<(), String>) {
        lock(&self.0.health).spool_trouble = room.err();
        self.0.changed.notify_one();
    }

    /// A task started; it counts as running while the returned value lives. `again`: an earlier process claimed it.
    pub fn task(&self, id: &TaskId, again: bool) -> TaskWatch {
        let counter = if again { &self.0.metrics.resumed } else { &self.0.metrics.claims };
        counter.inc();
        TaskWatch::new(self.clone(), id.short())
    }

    /// A request to the backend ended with an HTTP status, or with an error and no answer.
    pub fn contact(&self, contact: Result<u16, String>) {
        let unreachable = contact.is_err();
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
        health.backend_trouble = trouble;
        health.backend_unreachable = unreachable;
        self.0.changed.notify_one();
    }

    /// The last poll got a usable answer, or none, for this reason. Kept apart from [`Self::contact`], because an answer
    /// on another path does not show that polls work.
    pub fn claimable(&self, claimable: Result<(), String>) {
        lock(&self.0.health).claim_trouble = claimable.err();
        self.0.changed.notify_one();
    }

    /// The backend requires a login, and none was tried yet.
    pub fn login_needed(&self) {
        lock(&self.0.health).credentials_trouble = Some("not logged in yet".to_owned());
        self.0.changed.notify_one();
    }

    /// The backend accepted the credentials (or a request without a login), or refused them, for this reason.
    pub fn credentials(&self, accepted: Result<(), String>) {
        let mut health = lock(&self.0.health);
        health.credentials_accepted |= accepted.is_ok();
        health.credentials_trouble = accepted.err();
        self.0.changed.notify_one();
    }

    /// A login ended.
    pub fn login(&self, outcome: LoginOutcome) {
        self.0.metrics.logins.add([outcome.name()]);
    }

    /// A refresh of the tokens ended.
    pub fn refresh(&self, outcome: LoginOutcome) {
        self.0.metrics.refreshes.add([outcome.name()]);
    }

    /// The suite's remote answered a fetch, or failed, for this reason.
    pub fn suite(&self, refreshed: Result<(), String>) {
        let mut health = lock(&self.0.health);
        if refreshed.is_ok() {
            health.suite.refreshed = Some(Instant::now());
        }
        health.suite.trouble = refreshed.err();
        self.0.changed.notify_one();
    }

    /// The preparation of the suite does `activity` now; `None`: it is over.
    pub fn suite_activity(&self, activity: Option<&'static str>) {
        lock(&self.0.health).suite.activity = activity;
        self.0.changed.notify_one();
    }

    /// The suite and its environment are ready.
    pub fn suite_ready(&self) {
        lock(&self.0.health).suite.ready = true;
        self.0.changed.notify_one();
    }

    /// A result was sent once.
    pub fn delivery_attempt(&self) {
        self.0.metrics.delivery_attempts.inc();
    }

    /// An attempt to send a result failed, and another one follows.
    pub fn delivery_retried(&self) {
        self.0.metrics.delivery_retries.inc();
    }

    /// The backend accepted the result of task `id`, `after` the result was there.
    pub fn delivered(&self, id: &str, after: Duration) {
        self.0.metrics.deliveries.add(["accepted"]);
        self.0.metrics.observe_progress("deliver", after);
        lock(&self.0.tasks).delivered(id, Delivery::Accepted(after));
    }

    /// The backend refused the result of task `id` for good, with this HTTP status.
    pub fn rejected(&self, id: &str, status: u16) {
        self.0.metrics.deliveries.add(["rejected"]);
        lock(&self.0.tasks).delivered(id, Delivery::Rejected(status));
    }

    /// Sets how tasks are confined.
    pub fn confined(&self, confinement: Confinement) {
        *lock(&self.0.confinement) = confinement;
    }
}
