//! Counts the commands of the runner and how they ended.

use sandbox::command::{CommandEnd, Observer};

use super::Observe;

impl Observer for Observe {
    fn command_ended(&self, end: CommandEnd<'_>) {
        let metrics = &self.0.metrics;
        metrics.children.add(1);
        if let Some(why) = end.stopped {
            metrics.stopped.add([why.name()]);
        }
        metrics.leftovers.add(end.leftovers.into());
        for hit in end.hits {
            metrics.limits.add([hit.name()]);
        }
    }

    fn command_abandoned(&self) {
        let metrics = &self.0.metrics;
        metrics.children.add(1);
        metrics.stopped.add(["abandoned"]);
    }
}
