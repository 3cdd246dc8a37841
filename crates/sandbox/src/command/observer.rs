//! Observer of the commands that a launcher runs.

use std::fmt::Debug;
use std::sync::Arc;

use super::exit::Stopped;
use super::limit_hit::LimitHit;

/// How a command ended, for an [`Observer`].
#[derive(Debug, Clone, Copy)]
pub struct CommandEnd<'a> {
    /// Why the runner stopped it, if it did.
    pub stopped: Option<Stopped>,
    /// Processes that outlived the command and were killed.
    pub leftovers: u32,
    /// The limits that the command hit.
    pub limit_hits: &'a [LimitHit],
}

/// Is called at the end of each command. Calls must be cheap: they happen in the flow of a task.
pub trait Observer: Debug + Send + Sync {
    /// A command has ended.
    fn command_ended(&self, end: CommandEnd<'_>);
    /// A running command was dropped together with the work that needed it, and is being killed.
    fn command_abandoned(&self);
}

/// A running command as its observer sees it. Reports exactly one of the two ends.
#[derive(Debug)]
pub(super) struct Observed(Option<Arc<dyn Observer>>);

impl Observed {
    pub(super) fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self(observer)
    }

    pub(super) fn ended(mut self, end: CommandEnd<'_>) {
        if let Some(observer) = self.0.take() {
            observer.command_ended(end);
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let Some(observer) = self.0.take() {
            observer.command_abandoned();
        }
    }
}
