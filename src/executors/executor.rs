//! The traits of executors: [`Executor`] runs one task in five phases, [`ExecutorKind`] makes the executors of one kind.

use std::fmt::Debug;

use async_trait::async_trait;
use report::{Fault, Report};
use sandbox::command::{Deadline, Exit, Running};
use sandbox::workspace::Workspace;

use crate::task::Task;

/// Runs the tests of one task, phase by phase. [`super::drive`] calls the phases and guarantees:
///
/// - `prepare`, `startup`, `check`, `shutdown` and `post_process` are called in this order; the first error ends the run;
/// - `shutdown` is called if and only if `startup` returned without an error;
/// - `post_process` is always called, last, whatever happened before;
/// - what a failed `startup` left running is killed by its supervisor.
///
/// An executor holds no timers: the driver drops the future of a phase, or stops the command, when the deadline passes.
#[async_trait]
pub trait Executor: Send {
    /// Prepares what does not need the checkout, while the checkout is still under way. Failures are reported by the later
    /// phases. Not one of the five phases: it may be skipped.
    async fn preflight(&mut self) {}

    /// Prepares what the run needs.
    ///
    /// # Errors
    /// A fault that ends the run.
    async fn prepare(&mut self) -> Result<(), Fault>;

    /// Starts the command that runs the tests; `None`: there is nothing to wait for.
    ///
    /// # Errors
    /// A fault that ends the run.
    async fn startup(&mut self) -> Result<Option<Running>, Fault>;

    /// Checks the running command from time to time.
    ///
    /// # Errors
    /// A fault for which the driver stops the command.
    fn check(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// Ends what `startup` began besides the command. The command itself has ended before.
    async fn shutdown(&mut self) {}

    /// Releases everything that the earlier phases opened, and makes the report of the run. `exit` describes the end of the
    /// command; `None` if it was never started.
    async fn post_process(&mut self, exit: Option<&Exit>) -> Report;
}

/// One kind of executor: what its tasks share, and the constructor of the executor of one task.
#[async_trait]
pub trait ExecutorKind: Debug + Send + Sync {
    /// Prepares what all tasks share, so that the first task finds it ready.
    ///
    /// # Errors
    /// A fault. The runner takes no task until a later call succeeds.
    async fn warm_up(&self, _deadline: &Deadline) -> Result<(), Fault> {
        Ok(())
    }

    /// Refuses a task that this executor cannot run.
    ///
    /// # Errors
    /// A fault of the task.
    fn accept(&self, _task: &Task) -> Result<(), Fault> {
        Ok(())
    }

    /// Makes the executor of `task`, which works in `workspace`.
    fn executor<'a>(&'a self, task: &'a Task, workspace: &'a Workspace) -> Box<dyn Executor + 'a>;
}
