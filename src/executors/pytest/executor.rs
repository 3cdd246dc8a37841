//! Runs the suite for one task.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::confined::{Confined, confine, empty_configuration, environment, home_of};
use super::suite::{Suite, SuiteKeeper};
use super::template::Values;
use super::verdict::{Evidence, NO_EVENTS};
use super::{interrupted, plugin};
use crate::executors::executor::Executor;
use crate::task::Task;
use report::junit;
use report::{Cause, Fault, Limits, Progress, Report};
use sandbox::command::{Exit, Launcher, Prepared, Running, Spec, StartError};
use sandbox::confine::{Level, Sandbox};
use sandbox::workspace::Workspace;

/// Maximum number of names in `-k`. pytest fails on an expression of about a thousand names.
const MAX_NAMES: usize = 500;

/// Maximum bytes of names in `-k`. The system refuses an argument over 128 KiB.
const MAX_NAME_BYTES: usize = 100_000;

/// Runs the suite for one task.
pub(super) struct Pytest<'a> {
    task: &'a Task,
    workspace: &'a Workspace,
    keeper: &'a SuiteKeeper,
    launcher: &'a Launcher,
    limits: &'a Limits,
    suite: Option<Arc<Suite>>,
    confined: Option<Confined>,
    /// A command that `preflight` has prepared with `suite` and `confined`, and that has not started yet.
    held: Option<Prepared>,
    /// Whether the command runs an interpreter that has the plugin, so that it should send events.
    expects_events: bool,
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
        Self { task, workspace, keeper, launcher, limits, suite, confined, held, expects_events: false }
    }

    /// Prepares the confinement of a run of `suite`.
    async fn confine(&mut self, suite: Arc<Suite>) -> std::io::Result<()> {
        let ready = confine(self.launcher, self.workspace, &suite.tree, &suite.python, self.limits).await?;
        (self.suite, self.confined) = (Some(suite), Some(ready));
        Ok(())
    }

    /// The command that runs `suite` in its confinement.
    fn spec(&self, suite: &Suite) -> Spec {
        let (source, report, copy) =
            (self.workspace.source(), self.workspace.report(), self.workspace.suite());
        let values = Values {
            python: &suite.python,
            suite: &copy,
            source: &source,
            report: &report,
            task: self.task,
            tests: if self.selects_from_report() { &[] } else { &self.task.tests },
            proxy_timeout: self.keeper.proxy_timeout(),
        };
        let mut env = environment(self.workspace, &suite.python);
        // The plugin reads these two and removes them: the folders from which its interpreter must not import.
        let writable =
            [&source, &self.workspace.home(), &self.workspace.temp()].map(|path| path.display().to_string());
        env.push(("OSTEST_SUITE".to_owned(), copy.display().to_string()));
        env.push(("OSTEST_WRITABLE".to_owned(), writable.join(":")));
        if self.is_sandboxed() {
            // These two stay, for every interpreter that the suite starts.
            env.push(("OSTEST_SEALED".to_owned(), copy.display().to_string()));
            env.push(("OSTEST_OWN".to_owned(), self.workspace.listed().display().to_string()));
        }
        env.push(("PYTEST_ADDOPTS".to_owned(), self.pytest_options(suite, &copy)));
        let mut line = suite.template.expand(&values).into_iter();
        let program = line.next().unwrap_or_default();
        let mut plan = self.confined.as_ref().map(|confined| confined.plan.clone()).unwrap_or_default();
        // Another program, such as a shell, would pass the channel on to the first program that it starts.
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

    fn is_sandboxed(&self) -> bool {
        self.launcher.sandbox().level > Level::None
    }

    /// The value of `PYTEST_ADDOPTS` for `suite`, whose copy for this task is in `copy`.
    fn pytest_options(&self, suite: &Suite, copy: &Path) -> String {
        // Without this option pytest takes the common parent of the suite and the checkout as the root, and names tests by
        // that. With it pytest looks for the suite's configuration above both folders only, hence `-c` below.
        let mut options = vec![format!("--rootdir={}", copy.display())];
        if self.is_sandboxed() {
            // A program can put a file into a folder of the suite that makes it look like a virtual environment, in which
            // pytest collects no tests.
            options.push("--collect-in-virtualenv".to_owned());
        }
        let configuration = suite.configuration.map(|name| copy.join(name));
        let empty = || self.is_sandboxed().then(|| empty_configuration(&self.workspace.listed()));
        if let Some(file) = configuration.or_else(empty) {
            options.extend(["-c".to_owned(), file.display().to_string()]);
        }
        // pytest splits the value as a shell would. Only a word with a NUL cannot be quoted, and no path has one.
        shlex::try_join(options.iter().map(String::as_str)).unwrap_or_default()
    }

    /// Logs the warnings about a result.
    fn log(&self, warnings: &[String]) {
        for warning in warnings {
            if warning == NO_EVENTS && !self.expects_events {
                // The suite runs without the plugin by its own choice.
                tracing::info!(name: "report_warning", kind = "no_plugin", warning, "the result comes from the suite's report file");
            } else {
                let kind = if warning == NO_EVENTS { "no_plugin" } else { "doubt" };
                tracing::warn!(name: "report_warning", kind, warning, "the suite's result comes with a warning");
            }
        }
    }

    /// Ends the command that `preflight` has prepared, and waits until nothing of it is left.
    async fn release_held(&mut self) {
        if let Some(held) = self.held.take() {
            held.cancel().await;
        }
    }

    /// Whether the suite runs all its tests and the chosen ones are selected from its report, because there are too many
    /// names for `-k`.
    fn selects_from_report(&self) -> bool {
        let names = &self.task.tests;
        names.len() > MAX_NAMES || names.iter().map(|name| name.len() + 4).sum::<usize>() > MAX_NAME_BYTES
    }
}

#[async_trait]
impl Executor for Pytest<'_> {
    async fn preflight(&mut self) {
        // Only at this level does the preparation take long, and only here can the checkout not reach any of it.
        if self.launcher.sandbox().level != Level::Bwrap {
            return;
        }
        let Some(suite) = self.keeper.last() else { return };
        if self.confine(suite.clone()).await.is_ok() {
            let spec = self.spec(&suite);
            self.expects_events =
                spec.plan.events && home_of(&suite.python).is_some_and(plugin::sends_events);
            self.held = self.launcher.prepare(spec).await.ok();
        }
    }

    async fn prepare(&mut self) -> Result<(), Fault> {
        let suite = self.keeper.current().await?;
        if self.suite.as_ref().is_some_and(|prepared| Arc::ptr_eq(prepared, &suite)) {
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
            self.expects_events =
                spec.plan.events && home_of(&suite.python).is_some_and(plugin::sends_events);
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
        // Without the checkout there can be no useful report, so there is no need to wait for the deadline.
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
        // From a disk of the task, the supervisor has copied the report as this user; elsewhere the suite's user owns it.
        let user = self.confined.as_ref().and_then(|confined| confined.plan.user);
        let owner = user.filter(|_| self.launcher.sandbox().level == Level::Basic);
        let owner = owner.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
        let read = tokio::task::spawn_blocking(move || junit::read_file(&path, Some(owner), &limits)).await;
        let file = match read {
            Ok(file) => file,
            Err(error) => {
                let message = format!("the reader of the report failed: {error}");
                let fault = Fault::new(Progress::Report, Cause::Infrastructure, message);
                return Report::of_fault(fault, std::time::Duration::ZERO);
            }
        };
        let sandbox = self.launcher.sandbox();
        let evidence = Evidence {
            task: self.task,
            exit,
            file,
            selects_from_report: self.selects_from_report(),
            allowed: &sandbox.settings.limits,
            limits: self.limits,
        };
        let (mut report, warnings) = evidence.judge();
        self.log(&warnings);
        if exit.stopped.is_some() {
            interrupted::take_back_pass(&mut report);
        }
        report.exit = Some(exit.describe());
        report.limits = exit.limit_hits.iter().map(|hit| hit.words(&sandbox.settings.limits)).collect();
        report.cpu = Some(exit.cpu);
        report.memory = exit.memory_peak;
        write_details(self.workspace, sandbox, exit, &report, &warnings);
        report
    }
}

/// Writes details of the run into a file beside the report, for people. A failure is ignored: no result depends on it.
fn write_details(
    workspace: &Workspace,
    sandbox: &Sandbox,
    exit: &Exit,
    report: &Report,
    warnings: &[String],
) {
    let details = serde_json::json!({
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
    fs::write(workspace.about(), format!("{details:#}\n")).ok();
}
