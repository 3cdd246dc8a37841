//! The runner's log as events with names and fields. Messages are for people, so no test reads them.

use std::time::Instant;

use mock_backend::TaskId;
use serde_json::Value;

use super::{PATIENCE, Runner, World};

/// The events named `name` in a log of JSON lines, oldest first.
pub fn events_in(log: &str, name: &str) -> Vec<Value> {
    let parsed =
        log.lines().filter(|line| line.contains(name)).filter_map(|line| serde_json::from_str(line).ok());
    parsed.filter(|event: &Value| event["event"] == name).collect()
}

impl Runner {
    /// The events named `name` so far, oldest first. The names are listed in docs/metrics.md.
    pub fn events(&self, name: &str) -> Vec<Value> {
        events_in(&self.log(), name)
    }

    /// Whether an event named `name` is in the log.
    pub fn logged(&self, name: &str) -> bool {
        !self.events(name).is_empty()
    }

    /// Waits for the first event named `name`.
    pub async fn logs(&self, name: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.events(name).into_iter().next() {
                return event;
            }
            assert!(Instant::now() < end, "no event {name} within {PATIENCE:?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// The features of the sandbox in force, by name.
    pub async fn enforces(&self, feature: &str) -> Option<String> {
        let chosen = self.logs("sandbox_chosen").await;
        let words = chosen["enforced"].as_str()?;
        words
            .split(' ')
            .find_map(|word| Some(word.split_once('=').filter(|(name, _)| *name == feature)?.1.to_owned()))
    }
}

impl World {
    /// Phase and cause of the fault that ended task `id`, such as `checkout/limit`.
    pub fn fault(&self, id: &TaskId) -> String {
        let json: Value = serde_json::from_str(id.as_json()).unwrap();
        let text = json.as_str().map_or_else(|| id.as_json().to_owned(), str::to_owned);
        fault_in(&self.runner.log(), |event| event["task.id"] == text.as_str())
    }
}

/// The same of the last task in `log` whose end `is_meant`.
pub fn fault_in(log: &str, is_meant: impl Fn(&Value) -> bool) -> String {
    let mut ends = ["task_ended", "task_not_run"].into_iter().flat_map(|name| events_in(log, name));
    let event = ends.rfind(is_meant).unwrap_or_else(|| panic!("no such task has ended in\n{log}"));
    let field = |name: &str| event[name].as_str().unwrap_or("none").to_lowercase();
    format!("{}/{}", field("progress"), field("cause"))
}
