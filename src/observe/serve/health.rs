//! Whether the runner is alive, and whether it is of use now.

use std::time::{Duration, Instant};

use super::Source;
use crate::observe::{Health, Observe, Phase};

/// A mirror whose remote has not answered for longer, though it was asked, is too old to be trusted.
const OLD: Duration = Duration::from_secs(3600);

/// What was looked at and found.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) ok: bool,
    pub(super) says: String,
}

pub(super) fn holds(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.ok)
}

fn check(name: &'static str, trouble: Option<String>, else_says: &str) -> Check {
    Check { name, ok: trouble.is_none(), says: trouble.unwrap_or_else(|| else_says.to_owned()) }
}

/// Whether the poll loop goes on. A backend that is away is no reason to restart the runner.
pub(super) fn alive(observe: &Observe) -> Vec<Check> {
    alive_at(&observe.health(), Instant::now())
}

fn alive_at(health: &Health, now: Instant) -> Vec<Check> {
    vec![check("loop", health.stuck_at(now), health.phase.name()), disk(health)]
}

/// Whether tasks that the backend has now would be taken and done.
pub(super) fn ready(source: &Source) -> Vec<Check> {
    let health = source.observe.health();
    let mut checks = vec![
        backend(&health),
        credentials(&health),
        disk(&health),
        check("loop", health.stuck_at(Instant::now()).or_else(|| resting(&health)), health.phase.name()),
    ];
    if source.suite {
        checks.push(suite(&health));
    }
    checks
}

fn resting(health: &Health) -> Option<String> {
    matches!(health.phase, Phase::WarmingUp | Phase::Stopping).then(|| health.phase.name().to_owned())
}

fn disk(health: &Health) -> Check {
    check("disk", health.room.clone(), "the spool can take a task")
}

fn backend(health: &Health) -> Check {
    let asked = health.backend_asked;
    let trouble = health.backend.clone().or_else(|| (!asked).then(|| "not asked yet".to_owned()));
    check("backend", trouble, "it answers")
}

fn credentials(health: &Health) -> Check {
    let else_says = match health.backend_answered {
        None => "not asked yet",
        // A page that stands in front of the backend, say.
        Some(_) if !health.credentials_taken => "not known yet",
        Some(_) => "accepted",
    };
    check("credentials", health.credentials.clone(), else_says)
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
        Some(why) if age.is_none_or(|age| age > OLD) => Some(format!("{words}: {why}")),
        _ => None,
    };
    check("suite", trouble, &words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Suite;

    #[test]
    fn a_stuck_loop_is_not_alive() {
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
            let suite = Suite { ready, refreshed, trouble: trouble.map(str::to_owned), doing: None };
            let mut health = Health::default();
            health.suite = suite;
            super::suite(&health).ok
        };
        assert!(!check(false, None, None), "not made yet");
        assert!(!check(false, Some(1), Some("no python3")));
        assert!(check(true, Some(1), None));
        assert!(check(true, Some(1), Some("down")), "down for a moment");
        assert!(check(true, Some(300), None), "an idle runner does not ask");
        assert!(!check(true, Some(300), Some("down")));
        assert!(!check(true, None, Some("down")), "the mirror of an earlier run may be of any age");
    }
}
