//! The pytest executor: the suite's own `run_tests.py`, or a command of the operator's, on the student's checkout.

use std::fs;
use std::sync::Arc;

use super::Executor;
use super::confined::{Confined, confine, of_interpreter};
use super::suite::{Suite, SuiteKeeper};
use super::template::Values;
use crate::junit::{self, JunitError};
use crate::process::{Exit, Launcher, Running, Spec, StartError};
use crate::report::{Cause, Fault, Limits, Report, Stage};
use crate::task::Task;
use crate::workspace::Workspace;

/// More names than this are not given to `-k`: pytest fails on an expression of about a thousand, and the system on an
/// argument of 128 KiB.
const MOST_NAMES: usize = 500;

/// Bytes of names that are given to `-k` at the most.
const MOST_BYTES: usize = 100_000;

/// Runs the suite for one task.
pub(super) struct Pytest<'a> {
    task: &'a Task,
    workspace: &'a Workspace,
    keeper: &'a SuiteKeeper,
    launcher: &'a Launcher,
    limits: &'a Limits,
    suite: Option<Arc<Suite>>,
    confined: Option<Confined>,
}

impl<'a> Pytest<'a> {
    pub(super) fn new(
        task: &'a Task,
        workspace: &'a Workspace,
        keeper: &'a SuiteKeeper,
        launcher: &'a Launcher,
        limits: &'a Limits,
    ) -> Self {
        Self { task, workspace, keeper, launcher, limits, suite: None, confined: None }
    }

    fn spec(&self, suite: &Suite) -> Spec {
        let (source, report, copy) =
            (self.workspace.source(), self.workspace.report(), self.workspace.suite());
        let values = Values {
            python: &suite.python,
            suite: &copy,
            source: &source,
            report: &report,
            task: self.task,
            tests: if self.selects_here() { &[] } else { &self.task.tests },
            proxy_timeout: self.keeper.proxy_timeout(),
        };
        let mut env = self.workspace.environment(&suite.python);
        // Else pytest takes what the suite and the checkout have in common for the root, and names tests by that.
        env.push(("PYTEST_ADDOPTS".to_owned(), format!("--rootdir={}", copy.display())));
        let mut line = suite.template.expand(&values).into_iter();
        Spec {
            program: line.next().unwrap_or_default(),
            args: line.collect(),
            env,
            plan: self.confined.as_ref().map(|confined| confined.plan.clone()).unwrap_or_default(),
            dir: copy,
            stdin: String::new(),
            output: Some(self.workspace.output()),
        }
    }

    /// Whether all tests are run and the chosen ones picked from the report, since they are too many for `-k`.
    fn selects_here(&self) -> bool {
        let names = &self.task.tests;
        names.len() > MOST_NAMES || names.iter().map(|name| name.len() + 4).sum::<usize>() > MOST_BYTES
    }

    /// What the exit adds to a report that could be read: a contradiction between the two is not a pass.
    fn judge(&self, report: &mut Report, exit: &Exit) {
        if report.fault.is_some() || exit.stopped.is_some() {
            return;
        }
        let (task, tally) = (self.task, &report.tally);
        let fault = if let Some(signal) = exit.signal.map(|_| exit.describe()) {
            Some((Cause::Student, format!("the suite was killed by {signal}{}", words(exit))))
        } else if tally.total() == 0 && !task.tests.is_empty() {
            Some((Cause::Task, format!("no test matched {}", task.tests.join(", "))))
        } else if tally.total() == 0 && !task.laboratories.is_empty() {
            Some((Cause::Task, format!("no test matched laboratory {}", list(&task.laboratories))))
        } else if !exit.success() && !self.selects_here() && tally.passed == tally.total() {
            let says = format!(
                "the suite ended with {} although its report names no failure{}",
                exit.describe(),
                words(exit)
            );
            Some((Cause::Suite, says))
        } else {
            None
        };
        report.fault = fault.map(|(cause, message)| Fault::new(Stage::Execute, cause, message));
    }
}

impl Executor for Pytest<'_> {
    async fn prepare(&mut self) -> Result<(), Fault> {
        let suite = self.keeper.current().await?;
        let readable = of_interpreter(&suite.python);
        let ready = confine(self.launcher, self.workspace, &suite.tree, readable, self.limits).await;
        self.confined = Some(ready.map_err(|error| {
            Fault::new(Stage::Prepare, Cause::Infrastructure, format!("cannot prepare the suite: {error}"))
        })?);
        self.suite = Some(suite);
        Ok(())
    }

    async fn startup(&mut self) -> Result<Option<Running>, Fault> {
        let Some(suite) = self.suite.clone() else { return Ok(None) };
        match self.launcher.start(self.spec(&suite)).await {
            Ok(running) => Ok(Some(running)),
            Err(error @ StartError::Program { .. }) => {
                Err(Fault::new(Stage::Execute, Cause::Suite, error.to_string()))
            }
            Err(error) => Err(Fault::new(Stage::Execute, Cause::Infrastructure, error.to_string())),
        }
    }

    fn check(&mut self) -> Result<(), Fault> {
        // Someone who removes the whole folder has made the report impossible: no need to wait for the deadline.
        if fs::exists(self.workspace.source()).unwrap_or(true) {
            Ok(())
        } else {
            Err(Fault::new(Stage::Execute, Cause::Student, "the checkout was removed while its tests ran"))
        }
    }

    async fn shutdown(&mut self) {}

    async fn post_process(&mut self, exit: Option<&Exit>) -> Report {
        let (path, limits) = (self.workspace.report(), self.limits.clone());
        let read = tokio::task::spawn_blocking(move || junit::read_file(&path, &limits)).await;
        let of_fault = |cause, message| {
            Report::of_fault(Fault::new(Stage::Report, cause, message), std::time::Duration::ZERO)
        };
        match (read, exit) {
            (Ok(Ok(mut report)), Some(exit)) => {
                if self.selects_here() {
                    report.select(&self.task.tests);
                }
                self.judge(&mut report, exit);
                report
            }
            (Ok(Ok(report)), None) => report,
            (Ok(Err(JunitError::Missing)), Some(exit)) => of_fault(
                Cause::Suite,
                format!("the suite wrote no report ({}){}", exit.describe(), words(exit)),
            ),
            (Ok(Err(error)), _) => {
                of_fault(Cause::Suite, format!("the suite's report cannot be read: {error}"))
            }
            (Err(error), _) => {
                of_fault(Cause::Infrastructure, format!("the report's reader failed: {error}"))
            }
        }
    }
}

fn words(exit: &Exit) -> String {
    exit.last_words().map(|line| format!(": {line}")).unwrap_or_default()
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
