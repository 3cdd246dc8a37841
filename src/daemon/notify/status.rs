//! What `systemctl status` shows of the runner: one line for people.

use crate::observe::{Health, Observe, Phase, RunningTask};
use text::{shorten, without_secrets};

/// As many tasks are named.
const NAMED: usize = 4;

/// The longest line.
const LONGEST: usize = 300;

/// What the runner does, and what troubles it.
pub(super) fn line(observe: &Observe) -> String {
    let (health, working) = (observe.health(), observe.running());
    // What it answered says more than that it is of no use.
    let backend = if health.backend_unreachable {
        "the backend cannot be reached"
    } else {
        "no tasks from the backend"
    };
    let mut line = doing(&health, &working, observe.slot_count());
    for (what, why) in [
        ("the poll loop is stuck", health.stuck_at(std::time::Instant::now())),
        ("no task is taken, since the spool cannot take one", health.spool_trouble.clone()),
        (backend, health.backend_trouble.clone()),
        ("login", health.credentials_trouble.clone()),
        ("the suite", health.suite.trouble.clone().filter(|_| !health.suite.ready)),
    ] {
        if let Some(why) = why {
            line = format!("{line}; {what}: {why}");
        }
    }
    // It is one assignment of a message that has one a line.
    let line: String = without_secrets(&line).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shorten(&line, LONGEST).into_owned()
}

fn doing(health: &Health, working: &[RunningTask], slots: u64) -> String {
    let busy = working.len();
    let tasks = if busy == 1 { "task" } else { "tasks" };
    match health.phase {
        Phase::WarmingUp => {
            let activity = health.suite.activity.map(|activity| format!(" ({activity})")).unwrap_or_default();
            format!("making ready what tasks share{activity}; no task is taken yet")
        }
        Phase::Stopping if busy == 0 => "stopping: delivering".to_owned(),
        Phase::Stopping => format!("stopping: {busy} {tasks} to finish: {}", names(working)),
        _ if busy == 0 => format!("idle: 0 of {slots} slots busy"),
        _ => format!("working: {busy} of {slots} slots busy: {}", names(working)),
    }
}

fn names(working: &[RunningTask]) -> String {
    let mut names: Vec<String> = working
        .iter()
        .take(NAMED)
        .map(|task| format!("{} ({})", shorten(&task.id, 40), task.progress))
        .collect();
    if working.len() > NAMED {
        names.push(format!("{} more", working.len() - NAMED));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::value::RawValue;

    use super::*;
    use crate::task::TaskId;

    #[test]
    fn it_says_what_is_done_and_what_troubles() {
        let observe = Observe::default();
        observe.slots(8);
        assert_eq!(line(&observe), "making ready what tasks share; no task is taken yet");
        observe.suite_activity(Some("fetching the suite"));
        assert_eq!(
            line(&observe),
            "making ready what tasks share (fetching the suite); no task is taken yet"
        );
        observe.suite_activity(None);
        observe.phase(Phase::Pausing, Some(Duration::from_secs(5)));
        assert_eq!(line(&observe), "idle: 0 of 8 slots busy");
        let id = |id: &str| TaskId::new(RawValue::from_string(id.to_owned()).unwrap());
        let task = |text: &str| observe.task(&id(text), false);
        let first = task("17");
        assert_eq!(line(&observe), "working: 1 of 8 slots busy: 17 (claim)");
        let more: Vec<_> = ["18", "19", "20", "21", "22"].map(task).into();
        assert!(line(&observe).ends_with("20 (claim), 2 more"), "{}", line(&observe));
        drop(more);
        observe.contact(Err("refused\nREADY=1".to_owned()));
        observe.phase(Phase::Stopping, None);
        assert_eq!(
            line(&observe),
            "stopping: 1 task to finish: 17 (claim); the backend cannot be reached: refused READY=1"
        );
        observe.contact(Err("x".repeat(5000)));
        assert!(line(&observe).len() <= LONGEST + 10);
        observe.contact(Ok(503));
        assert_eq!(
            line(&observe),
            "stopping: 1 task to finish: 17 (claim); no tasks from the backend: it answers 503"
        );
        observe.contact(Ok(200));
        drop(first);
        assert_eq!(line(&observe), "stopping: delivering");
    }
}
