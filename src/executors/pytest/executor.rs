//! The pytest executor: the suite's own `run_tests.py`, or a command of the operator's, on the student's checkout.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::confined::{Confined, confine, environment, home_of, nothing};
use super::suite::{Suite, SuiteKeeper};
use super::template::Values;
use super::verdict::{Evidence, UNTOLD};
use super::{interrupted, plugin};
use crate::executors::executor::Executor;
use crate::task::Task;
use report::junit;
use report::{Cause, Fault, Limits, Progress, Report};
use sandbox::command::{Exit, Launcher, Prepared, Running, Spec, StartError};
use sandbox::confine::{Level, Sandbox};
use sandbox::workspace::Workspace;

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
    /// Ready to begin, with `suite` and `confined`.
    held: Option<Prepared>,
    /// Whether an interpreter that has the plugin was to speak.
    listens: bool,
}

impl<'a> Pytest<'a> {
    pub(super) fn new(
        task: &'a Task,
        workspace: &'a Workspace,
        keeper: &'a SuiteKeeper,
        launcher: &'a Launcher,
        limits: &'a Limits,
    ) -> Self {
        let (suite, confined, held) = (None, None, None);
        Self { task, workspace, keeper, launcher, limits, suite, confined, held, listens: false }
    }

    async fn confine(&mut self, suite: Arc<Suite>) -> std::io::Result<()> {
        let ready = confine(self.launcher, self.workspace, &suite.tree, &suite.python, self.limits).await?;
        (self.suite, self.confined) = (Some(suite), Some(ready));
        Ok(())
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
        let mut env = environment(self.workspace, &suite.python);
        // For the plugin, which takes them out again: what its interpreter must not import from.
        let writable =
            [&source, &self.workspace.home(), &self.workspace.temp()].map(|path| path.display().to_string());
        env.push(("OSTEST_SUITE".to_owned(), copy.display().to_string()));
        env.push(("OSTEST_WRITABLE".to_owned(), writable.join(":")));
        let sandbox = self.launcher.sandbox();
        if sandbox.level > Level::None {
            // Stays, for all interpreters that the suite starts.
            env.push(("OSTEST_SEALED".to_owned(), copy.display().to_string()));
            env.push(("OSTEST_OWN".to_owned(), self.workspace.listed().display().to_string()));
        }
        // Else pytest takes what the suite and the checkout have in common for the root, and names tests by that.
        // With a root it looks for the suite's configuration only above all that; it is told where that is.
        let mut options = vec![format!("--rootdir={}", copy.display())];
        if sandbox.level > Level::None {
            // A file laid into one of the suite's folders makes a virtual environment of it, whose tests nobody collects.
            options.push("--collect-in-virtualenv".to_owned());
        }
        let own = suite.configuration.map(|name| copy.join(name));
        let none = || (sandbox.level > Level::None).then(|| nothing(&self.workspace.listed()));
        if let Some(file) = own.or_else(none) {
            options.extend(["-c".to_owned(), file.display().to_string()]);
        }
        // pytest splits it as a shell would. A word with a NUL cannot be quoted, and no path has one.
        let options = shlex::try_join(options.iter().map(String::as_str)).unwrap_or_default();
        env.push(("PYTEST_ADDOPTS".to_owned(), options));
        let mut line = suite.template.expand(&values).into_iter();
        let program = line.next().unwrap_or_default();
        let mut plan = self.confined.as_ref().map(|confined| confined.plan.clone()).unwrap_or_default();
        // Any other program, such as a shell, would leave the channel to whatever it starts first.
        plan.events &= Path::new(&program) == suite.python;
        Spec {
            program,
            args: line.collect(),
            env,
            plan,
            dir: copy,
            stdin: String::new(),
            output: Some(self.workspace.output()),
        }
    }

    /// Ends what `preflight` has ready, and waits until nothing is left of it.
    async fn release_held(&mut self) {
        if let Some(held) = self.held.take() {
            held.cancel().await;
        }
    }

    /// Whether all tests are run and the chosen ones picked from the report, since they are too many for `-k`.
    fn selects_here(&self) -> bool {
        let names = &self.task.tests;
        names.len() > MOST_NAMES || names.iter().map(|name| name.len() + 4).sum::<usize>() > MOST_BYTES
    }
}

#[async_trait]
impl Executor for Pytest<'_> {
    async fn preflight(&mut self) {
        // Only there does the making take its time, and is all of it out of the checkout's reach.
        if self.launcher.sandbox().level != Level::Bwrap {
            return;
        }
        let Some(suite) = self.keeper.last() else { return };
        if self.confine(suite.clone()).await.is_ok() {
            let spec = self.spec(&suite);
            self.listens = spec.plan.events && home_of(&suite.python).is_some_and(plugin::speaks);
            self.held = self.launcher.prepare(spec).await.ok();
        }
    }

    async fn prepare(&mut self) -> Result<(), Fault> {
        let suite = self.keeper.current().await?;
        if self.suite.as_ref().is_some_and(|ahead| Arc::ptr_eq(ahead, &suite)) {
            return Ok(());
        }
        self.release_held().await;
        self.confine(suite).await.map_err(|error| {
            Fault::new(Progress::Prepare, Cause::Infrastructure, format!("cannot prepare the suite: {error}"))
        })
    }

    async fn startup(&mut self) -> Result<Option<Running>, Fault> {
        let Some(suite) = self.suite.clone() else { return Ok(None) };
        let started = if let Some(held) = self.held.take() {
            held.start().await
        } else {
            let spec = self.spec(&suite);
            self.listens = spec.plan.events && home_of(&suite.python).is_some_and(plugin::speaks);
            self.launcher.start(spec).await
        };
        match started {
            Ok(running) => Ok(Some(running)),
            Err(error @ StartError::Program { .. }) => {
                Err(Fault::new(Progress::Execute, Cause::Suite, error.to_string()))
            }
            Err(error) => Err(Fault::new(Progress::Execute, Cause::Infrastructure, error.to_string())),
        }
    }

    fn check(&mut self) -> Result<(), Fault> {
        // Someone who removes the whole folder has made the report impossible: no need to wait for the deadline.
        if fs::exists(self.workspace.source()).unwrap_or(true) {
            Ok(())
        } else {
            Err(Fault::new(Progress::Execute, Cause::Program, "the checkout was removed while its tests ran"))
        }
    }

    async fn post_process(&mut self, exit: Option<&Exit>) -> Report {
        self.release_held().await;
        let Some(exit) = exit else { return Report::default() };
        let (path, limits) = (self.workspace.report(), self.limits.clone());
        // Out of a disk of the task's own, the supervisor has brought it; else it is where the suite wrote it.
        let user = self.confined.as_ref().and_then(|confined| confined.plan.user);
        let owner = user.filter(|_| self.launcher.sandbox().level == Level::Basic);
        let owner = owner.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
        let read = tokio::task::spawn_blocking(move || junit::read_file(&path, Some(owner), &limits)).await;
        let file = match read {
            Ok(file) => file,
            Err(error) => {
                let message = format!("the report's reader failed: {error}");
                let fault = Fault::new(Progress::Report, Cause::Infrastructure, message);
                return Report::of_fault(fault, std::time::Duration::ZERO);
            }
        };
        let sandbox = self.launcher.sandbox();
        let evidence = Evidence {
            task: self.task,
            exit,
            file,
            selects_here: self.selects_here(),
            allowed: &sandbox.settings.limits,
            limits: self.limits,
        };
        let (mut report, warnings) = evidence.judge();
        for warning in &warnings {
            if warning == UNTOLD && !self.listens {
                // No interpreter of the suite's was to speak: it is a suite of that kind.
                tracing::info!(name: "report_warning", kind = "no_plugin", warning, "the suite's result is its report file's");
            } else {
                let kind = if warning == UNTOLD { "no_plugin" } else { "doubt" };
                tracing::warn!(name: "report_warning", kind, warning, "the suite's result comes with a warning");
            }
        }
        if exit.stopped.is_some() {
            interrupted::take_back_pass(&mut report);
        }
        report.exit = Some(exit.describe());
        report.limits = exit.limit_hits.iter().map(|hit| hit.words(&sandbox.settings.limits)).collect();
        report.cpu = Some(exit.cpu);
        report.memory = exit.memory_peak;
        about(self.workspace, sandbox, exit, &report, &warnings);
        report
    }
}

/// Writes beside the report how it came about, for whoever looks at it later.
fn about(workspace: &Workspace, sandbox: &Sandbox, exit: &Exit, report: &Report, warnings: &[String]) {
    let about = serde_json::json!({
        "sandbox": sandbox.level.name(),
        "enforced": sandbox.enforcement().to_string(),
        "memory_method": sandbox.memory().to_string(),
        "ended": exit.describe(),
        "wall_seconds": exit.wall.as_secs_f64(),
        "cpu_seconds": exit.cpu.as_secs_f64(),
        "memory_peak_bytes": exit.memory_peak,
        "limits_hit": report.limits,
        "leftover_processes": exit.leftovers,
        "told_by_the_plugin": !exit.events.is_empty(),
        "warnings": warnings,
    });
    // Nobody's answer depends on it.
    fs::write(workspace.about(), format!("{about:#}\n")).ok();
}
