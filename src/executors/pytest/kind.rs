//! The kind of the pytest executor: what its tasks share.

use async_trait::async_trait;
use report::{Cause, Fault, Limits, Progress};
use sandbox::command::{Deadline, Launcher};
use sandbox::workspace::Workspace;

use super::executor::Pytest;
use super::selection::unselectable;
use super::suite::SuiteKeeper;
use crate::executors::bound::bound;
use crate::executors::executor::{Executor, ExecutorKind};
use crate::executors::parts::Parts;
use crate::task::Task;

/// The suite that all tasks share, and what starts it for each of them.
#[derive(Debug)]
pub(in crate::executors) struct PytestKind {
    suite: SuiteKeeper,
    launcher: Launcher,
    limits: Limits,
}

impl PytestKind {
    pub(in crate::executors) fn new(parts: Parts) -> Self {
        let Parts { suite, limits, launcher, git, state, work, observe } = parts;
        Self {
            suite: SuiteKeeper::new(suite, git, launcher.clone(), &state, work, &observe),
            launcher,
            limits,
        }
    }
}

#[async_trait]
impl ExecutorKind for PytestKind {
    async fn warm_up(&self, deadline: &Deadline) -> Result<(), Fault> {
        bound(deadline, Progress::Prepare, self.suite.current()).await.map(drop)
    }

    /// Refuses a task with a test name that `-k` would read as an expression.
    fn accept(&self, task: &Task) -> Result<(), Fault> {
        let wrong = task.tests.iter().find_map(|name| Some((name, unselectable(name)?)));
        wrong.map_or(Ok(()), |(name, why)| {
            let message = format!("connectedTests: {name:?} cannot be selected: {why}");
            Err(Fault::new(Progress::Claim, Cause::Task, message))
        })
    }

    fn executor<'a>(&'a self, task: &'a Task, workspace: &'a Workspace) -> Box<dyn Executor + 'a> {
        Box::new(Pytest::new(task, workspace, &self.suite, &self.launcher, &self.limits))
    }
}
