//! The status line that `systemctl status` shows.

use crate::observe::{Health, Observe, Phase, RunningTask};
use text::{shorten, without_secrets};

/// Largest number of tasks in the line.
const MAX_TASKS: usize = 4;

/// Longest line, in characters.
const MAX_LINE: usize = 300;

/// The status line: what the runner does, and its problems.
pub(super) fn line(observe: &Observe) -> String {
    let (health, working) = (observe.health(), observe.running());
    // If it answered, the reason says more than "cannot be reached".
    let backend = if health.backend_unreachable {
        "the backend cannot be reached"
    } else {
        "no tasks from the backend"
    };
    let mut line = doing(&health, &working, observe.slot_count());
    for (what, why) in [
        ("the poll loop is stuck", health.stuck_at(std::time::Instant::now())),
        ("no task is taken, because the spool cannot store one", health.spool_trouble.clone()),
        (backend, health.backend_trouble.clone()),
        ("login", health.credentials_trouble.clone()),
        ("the suite", health.suite.trouble.clone().filter(|_| !health.suite.ready)),
    ] {
        if let Some(why) = why {
            line = format!("{line}; {what}: {why}");
        }
    }
    // Each line of a message is an assignment, so the text must be one line.
    let line: String = without_secrets(&line).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shorten(&line, MAX_LINE).into_owned()
}

/// What the runner does.
fn doing(health: &Health, working: &[RunningTask], slots: u64) -> String {
    let busy = working.len();
    let tasks = if busy == 1 { "task" } else { "tasks" };
    match health.phase {
        Phase::WarmingUp => {
            let work = health.suite.activity.map(|work| format!(" ({work})")).unwrap_or_default();
            format!("preparing the suite{work}; no task is taken yet")
        }
        Phase::Stopping if busy == 0 => "stopping: delivering".to_owned(),
        Phase::Stopping => format!("stopping: {busy} {tasks} to finish: {}", names(working)),
        _ if busy == 0 => format!("idle: 0 of {slots} slots busy"),
        _ => format!("working: {busy} of {slots} slots busy: {}", names(working)),
    }
}

/// The first tasks with their progress.
fn names(working: &[RunningTask]) -> String {
    let mut names: Vec<String> = working
        .iter()
        .take(MAX_TASKS)
        .map(|task| format!("{} ({})", shorten(&task.id, 40), task.progress))
        .collect();
    if working.len() > MAX_TASKS {
        names.push(format!("{} more", working.len() - MAX_TASKS));
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
    fn names_work_and_problems() {
        let observe = Observe::default();
        observe.slots(8);
        assert_eq!(line(&observe), "preparing the suite; no task is taken yet");
        observe.suite_activity(Some("fetching the suite"));
        assert_eq!(line(&observe), "preparing the suite (fetching the suite); no task is taken yet");
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
        assert!(line(&observe).len() <= MAX_LINE + 10);
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
