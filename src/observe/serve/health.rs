//! The checks of `/healthz` and `/readyz`.

use std::time::{Duration, Instant};

use super::source::Source;
use crate::observe::{Health, Observe, Phase};

/// Age from which a suite whose remote fails counts as too old.
const MAX_SUITE_AGE: Duration = Duration::from_secs(3600);

/// One check and its result.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) ok: bool,
    /// Its state in words, for people.
    pub(super) says: String,
}

/// Whether all checks hold.
pub(super) fn holds(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.ok)
}

/// A check that fails with `trouble`, or holds and says `well`.
fn check(name: &'static str, trouble: Option<String>, well: &str) -> Check {
    Check { name, ok: trouble.is_none(), says: trouble.unwrap_or_else(|| well.to_owned()) }
}

/// The checks of `/healthz`: the poll loop goes on and the spool has room. A backend that is down is no reason to restart
/// the runner.
pub(super) fn alive(observe: &Observe) -> Vec<Check> {
    alive_at(&observe.health(), Instant::now())
}

fn alive_at(health: &Health, now: Instant) -> Vec<Check> {
    vec![check("loop", health.stuck_at(now), health.phase.name()), disk(health)]
}

/// The checks of `/readyz`: a task that the backend has now would be claimed and run.
pub(super) fn ready(source: &Source) -> Vec<Check> {
    let health = source.observe.health();
    let mut checks = vec![
        backend(&health),
        credentials(&health),
        disk(&health),
        check("loop", health.stuck_at(Instant::now()).or_else(|| not_polling(&health)), health.phase.name()),
    ];
    if source.needs_suite {
        checks.push(suite(&health));
    }
    checks
}

/// Why the poll loop claims no tasks in this phase.
fn not_polling(health: &Health) -> Option<String> {
    matches!(health.phase, Phase::WarmingUp | Phase::Stopping).then(|| health.phase.name().to_owned())
}

fn disk(health: &Health) -> Check {
    check("disk", health.spool_trouble.clone(), "the spool can take a task")
}

fn backend(health: &Health) -> Check {
    let asked = health.backend_asked;
    let trouble = health.backend_trouble.clone().or_else(|| (!asked).then(|| "not asked yet".to_owned()));
    check("backend", trouble, "it answers")
}

fn credentials(health: &Health) -> Check {
    let well = match health.backend_answered {
        None => "not asked yet",
        // For example a page of a proxy answers instead of the backend.
        Some(_) if !health.credentials_accepted => "not known yet",
        Some(_) => "accepted",
    };
    check("credentials", health.credentials_trouble.clone(), well)
}

fn suite(health: &Health) -> Check {
    let suite = &health.suite;
    let age = suite.refreshed.map(|at| Instant::now().saturating_duration_since(at));
    let words = age.map_or_else(
        || "its remote has not answered in this run".to_owned(),
        |age| format!("its remote answered {} s ago", age.as_secs()),
    );
    let trouble = match &suite.trouble {
        Some(why) if !suite.ready => Some(why.clone()),
        _ if !suite.ready => Some("being made ready".to_owned()),
        Some(why) if age.is_none_or(|age| age > MAX_SUITE_AGE) => Some(format!("{words}: {why}")),
        _ => None,
    };
    check("suite", trouble, &words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Suite;

    #[test]
    fn stuck_loop_is_not_alive() {
        let observe = Observe::default();
        observe.phase(Phase::Asking, Some(Duration::from_secs(1)));
        let after =
            |seconds| holds(&alive_at(&observe.health(), Instant::now() + Duration::from_secs(seconds)));
        assert!(after(30));
        assert!(!after(32));
    }

    #[test]
    fn suite_is_stale_after_failing_hour() {
        let check = |ready, minutes: Option<u64>, trouble: Option<&str>| {
            let refreshed =
                minutes.map(|minutes| Instant::now().checked_sub(Duration::from_secs(minutes * 60)).unwrap());
            let suite = Suite { ready, refreshed, trouble: trouble.map(str::to_owned), activity: None };
            let mut health = Health::default();
            health.suite = suite;
            super::suite(&health).ok
        };
        assert!(!check(false, None, None), "not made yet");
        assert!(!check(false, Some(1), Some("no python3")));
        assert!(check(true, Some(1), None));
        assert!(check(true, Some(1), Some("down")), "down for a minute");
        assert!(check(true, Some(300), None), "an idle runner does not ask");
        assert!(!check(true, Some(300), Some("down")));
        assert!(!check(true, None, Some("down")), "the mirror of an earlier run may be of any age");
    }
}
