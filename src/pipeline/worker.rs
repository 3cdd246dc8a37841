//! The worker: checks a program out, runs its tests and returns the report of the task.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::backend::wire;
use crate::executors::{Bounds, ExecutorKind, Settings as ExecutionSettings, bound, drive};
use crate::git::GitClient;
use crate::live::Live;
use crate::pipeline::artifacts::Artifacts;
use crate::pipeline::retry;
use crate::task::{Task, TaskId};
use report::{Cause, Fault, Limits, Progress, Report};
use sandbox::command::{Deadline, Launcher};
use sandbox::workspace::{Workspace, copy_tree};
use text::shorten;
use text::units::duration;

/// Characters of a branch's name in the log. Anybody can choose the name, and it can be as long as an answer of the backend.
const MAX_BRANCH: usize = 200;
/// Characters of a fault in the log. A fault can name every test of a task.
const MAX_FAULT: usize = 2000;

/// Limits on a task.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Tasks")]
#[group(skip)]
pub struct Settings {
    /// How long a task may take, from its claim on; 0: no limit
    #[arg(long, global = true, env = "RUNNER_TIMEOUT", value_name = "DURATION", default_value = "600", value_parser = duration)]
    pub timeout: Duration,

    /// How often a checkout or the suite's preparation is tried if the network or the disk fails
    #[arg(long, global = true, env = "RUNNER_ATTEMPTS", value_name = "COUNT", default_value_t = 3, value_parser = text::units::count::<1, 100>)]
    pub attempts: usize,
}

/// Runs tasks, for all slots.
#[derive(Debug)]
pub struct Worker {
    /// Timeout and attempts. A task keeps the values with which it began.
    pub settings: Live<Settings>,
    /// Limits on a report.
    pub limits: Limits,
    /// Folder that holds a folder for each running task.
    pub work_dir: PathBuf,
    /// Keeps report and output of the last tasks.
    pub artifacts: Artifacts,
    /// Fetches the program under test.
    pub checkout: GitClient,
    /// Which executor runs the tests, and how often it checks them.
    pub execution: ExecutionSettings,
    /// The executor that the settings choose.
    pub executor: Box<dyn ExecutorKind>,
    /// Starts the commands of tasks.
    pub launcher: Launcher,
}

impl Worker {
    /// Runs the tests of `task` on `source` and returns their report, whatever happens. The returned cleanup is still
    /// removing the files of the task.
    pub async fn run(
        &self,
        task: &Task,
        source: &Source,
        claimed: Instant,
        bounds: Bounds<'_>,
    ) -> (Report, Cleanup) {
        let span = tracing::info_span!("task", task.id = task.id.for_log());
        async {
            let laboratories: Vec<_> = task.laboratories.iter().map(u32::to_string).collect();
            let laboratories = laboratories.join(",");
            let branch = task.branch.as_deref().map(|branch| shorten(branch, MAX_BRANCH));
            tracing::info!(
                name: "task_started",
                branch = branch.as_deref(),
                laboratories,
                tests = task.tests.len(),
                "task started"
            );
            let mut cleanup = Cleanup::default();
            let mut report = self.work(task, source, &bounds, &mut cleanup).await;
            if report.fault.is_some() {
                report.duration = claimed.elapsed();
            }
            log_end(&report, claimed);
            (report, cleanup)
        }
        .instrument(span)
        .await
    }

    /// The body of the request that answers the task `id` with `report`.
    pub fn body(&self, id: &TaskId, report: &Report) -> Vec<u8> {
        wire::result_body(id, report, &self.limits)
    }

    /// The deadline of a task that was claimed at `claimed`.
    pub fn deadline(&self, claimed: Instant, interrupt: CancellationToken) -> Deadline {
        Deadline::new(claimed, self.settings.get().timeout, interrupt)
    }

    /// Prepares what all tasks share.
    ///
    /// # Errors
    /// The fault because of which no task can run.
    pub async fn warm_up(&self, deadline: &Deadline) -> Result<(), Fault> {
        self.executor.warm_up(deadline).await
    }

    /// Waits until every command that was stopped has ended.
    pub async fn settle(&self) {
        self.launcher.settle().await;
    }

    async fn work(&self, task: &Task, source: &Source, bounds: &Bounds<'_>, cleanup: &mut Cleanup) -> Report {
        if let Err(fault) = self.executor.accept(task) {
            return Report::of_fault(fault, Duration::ZERO);
        }
        let workspace = match Workspace::new(&self.work_dir) {
            Ok(workspace) => workspace,
            Err(error) => {
                let message =
                    format!("cannot create a folder for the task in {}: {error}", self.work_dir.display());
                let fault = Fault::new(Progress::Checkout, Cause::Infrastructure, message);
                return Report::of_fault(fault, Duration::ZERO);
            }
        };
        let report = self.work_in(&workspace, task, source, bounds).await;
        let (artifacts, id) = (self.artifacts.clone(), task.id.short());
        let keeping = tokio::task::spawn_blocking(move || {
            artifacts.keep(&workspace, &id);
            workspace
        });
        cleanup.0 = keeping.await.ok().map(|workspace| tokio::task::spawn_blocking(|| drop(workspace)));
        report
    }

    /// Checks the program out and prepares the executor at the same time, then drives the executor.
    async fn work_in(
        &self,
        workspace: &Workspace,
        task: &Task,
        source: &Source,
        bounds: &Bounds<'_>,
    ) -> Report {
        let mut executor = self.executor.executor(task, workspace);
        let checkout = if self.execution.runs_programs() {
            (bounds.progress)(Progress::Checkout);
            // Boxed because the future is large, and every future that waits for a task holds it.
            let checkout = Box::pin(self.check_out(task, source, workspace));
            tokio::join!(bound(&bounds.deadline, Progress::Checkout, checkout), executor.preflight()).0
        } else {
            Ok(())
        };
        drive(executor.as_mut(), checkout, bounds, self.execution.check_proc_interval).await
    }

    /// Puts the program under test into `workspace`.
    async fn check_out(&self, task: &Task, source: &Source, workspace: &Workspace) -> Result<(), Fault> {
        let url = match source {
            Source::Folder(folder) => return copy(folder.clone(), workspace.source()).await,
            Source::Repository => self.checkout.url(&task.repository_url)?,
        };
        let started = Instant::now();
        let folder = workspace.source();
        let commit = retry::infrastructure(self.settings.get().attempts, "the checkout", || {
            self.checkout.student(&url, task.branch.as_deref(), &folder)
        })
        .await?;
        tracing::debug!(name: "checked_out", progress = "checkout", commit, elapsed = ?started.elapsed(), "checked out");
        Ok(())
    }
}

/// The removal of a task's folder in the background. A task can leave a hundred thousand files; its result does not wait
/// until they are removed.
#[derive(Debug, Default)]
#[must_use = "the caller waits for the end of the removal, or the files of tasks pile up"]
pub struct Cleanup(Option<JoinHandle<()>>);

impl Cleanup {
    /// Waits for the end of the removal.
    pub async fn end(self) {
        if let Some(removal) = self.0 {
            removal.await.ok();
        }
    }
}

/// Where the program under test comes from.
#[derive(Debug)]
pub enum Source {
    /// The task's repository.
    Repository,
    /// A folder of this machine, copied as it is.
    Folder(PathBuf),
}

async fn copy(from: PathBuf, to: PathBuf) -> Result<(), Fault> {
    let message = format!("cannot copy {}", from.display());
    let copied = tokio::task::spawn_blocking(move || copy_tree(&from, &to)).await;
    let copied = copied.map_err(std::io::Error::other).and_then(|copied| copied);
    copied.map_err(|error| Fault::new(Progress::Checkout, Cause::Task, format!("{message}: {error}")))
}

fn log_end(report: &Report, claimed: Instant) {
    let tally = &report.tally;
    let (verdict, elapsed) = (report.verdict(), claimed.elapsed());
    let memory = report.cases.iter().filter_map(|case| case.memory).max();
    let exit = report.exit.as_deref();
    let limits = (!report.limits.is_empty()).then(|| report.limits.join(", "));
    match &report.fault {
        Some(fault) => tracing::info!(
            name: "task_ended",
            %verdict, progress = %fault.progress, cause = ?fault.cause, fault = &*shorten(&fault.message, MAX_FAULT), passed = tally.passed,
            total = tally.total(), ?elapsed, cpu = ?report.cpu, memory, exit, limits, "task ended"
        ),
        None => {
            tracing::info!(
                name: "task_ended",
                %verdict, passed = tally.passed, total = tally.total(), ?elapsed, cpu = ?report.cpu, memory,
                exit, limits, "task ended"
            );
        }
    }
}
