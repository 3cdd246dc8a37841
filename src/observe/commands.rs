//! Counts the commands of the runner and how they ended.

use sandbox::command::{CommandEnd, Observer};

use super::handle::Observe;

impl Observer for Observe {
    fn command_ended(&self, end: CommandEnd<'_>) {
        let metrics = &self.0.metrics;
        metrics.commands.inc();
        if let Some(why) = end.stopped {
            metrics.stopped.add([why.name()]);
        }
        metrics.leftovers.inc_by(end.leftovers.into());
        for hit in end.limit_hits {
            metrics.limits.add([hit.name()]);
        }
    }

    fn command_abandoned(&self) {
        let metrics = &self.0.metrics;
        metrics.commands.inc();
        metrics.stopped.add(["abandoned"]);
    }
}
