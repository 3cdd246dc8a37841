//! Ways to run tests. An `Executor` knows what to do in each phase; one driver owns order, deadline and abort.

mod bound;
mod confined;
mod environment;
mod events;
mod installer;
mod mock;
mod plugin;
mod pytest;
mod stale;
mod suite;
pub mod template;
mod verdict;

use std::time::Duration;

use crate::git::client::Checkout;
use crate::observe::Observe;
use crate::task::Task;
use bound::{bound, stopped};
pub use installer::find_program;
use report::{Fault, Limits, Progress, Report};
use sandbox::command::{Deadline, Exit, Launcher, Running};
use sandbox::workspace::Workspace;
pub use suite::Settings as SuiteSettings;
use suite::SuiteKeeper;
pub use template::Preset;
use text::units::interval;

/// How tests are run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Execution")]
#[group(skip)]
pub struct Settings {
    /// Answer tasks with predefined reports, without running anything
    #[arg(long, global = true, env = "RUNNER_MOCK", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_name = "true|false", value_parser = text::units::flag)]
    pub mock: bool,

    /// Time between the executor's checks while a suite runs; the suite's end is noticed at once
    #[arg(long, global = true, env = "RUNNER_CHECK_PROC_INTERVAL", value_name = "DURATION", default_value = "0.1", value_parser = interval)]
    pub check_proc_interval: Duration,
}

/// The phases of a run. An executor holds no timers: dropping a phase's future, or the child, is the abort.
trait Executor {
    /// Makes ready what it can before there is a checkout. What it could not is told by the phases that follow.
    async fn ahead(&mut self);
    /// Ends what [`Self::ahead`] began, where nothing will follow.
    async fn give_up(&mut self);
    /// Makes ready what the run needs.
    async fn prepare(&mut self) -> Result<(), Fault>;
    /// Starts the run; none: there is nothing to wait for.
    async fn startup(&mut self) -> Result<Option<Running>, Fault>;
    /// Looks at the run from time to time; an error ends it.
    fn check(&mut self) -> Result<(), Fault>;
    /// Ends what `startup` began besides the child, which has ended.
    async fn shutdown(&mut self);
    /// Turns what the run left into a report.
    async fn post_process(&mut self, exit: Option<&Exit>) -> Report;
}

/// The execute step: chooses the executor for a task and drives it.
#[derive(Debug)]
pub struct Execute {
    settings: Settings,
    limits: Limits,
    launcher: Launcher,
    suite: SuiteKeeper,
    mock_turn: mock::Turn,
}

impl Execute {
    /// Sets up the step; [`Self::warm_up`] makes it ready.
    pub fn new(
        settings: Settings,
        suite: SuiteSettings,
        limits: Limits,
        launcher: Launcher,
        checkout: Checkout,
        folders: &Folders,
        observe: &Observe,
    ) -> Self {
        let suite = SuiteKeeper::new(suite, checkout, launcher.clone(), folders, observe);
        Self { settings, limits, launcher, suite, mock_turn: mock::Turn::default() }
    }

    /// Whether tasks are answered without running anything.
    pub fn is_mock(&self) -> bool {
        self.settings.mock
    }

    /// Makes what all tasks share (the suite's mirror and environment), so that the first task finds it ready.
    pub async fn warm_up(&self, until: &Deadline) -> Result<(), Fault> {
        if self.is_mock() {
            return Ok(());
        }
        bound(until, Progress::Prepare, self.suite.current()).await.map(|_| ())
    }

    /// Waits until nothing runs any more of what was given up.
    pub async fn settle(&self) {
        self.launcher.settle().await;
    }

    /// Runs the tests of `task` on what `checkout` brings into `workspace`. What the run needs besides is made ready
    /// meanwhile.
    pub async fn run(
        &self,
        task: &Task,
        workspace: &Workspace,
        checkout: impl Future<Output = Result<(), Fault>>,
        bounds: &Bounds<'_>,
    ) -> Result<Report, Fault> {
        let mut pytest = pytest::Pytest::new(task, workspace, &self.suite, &self.launcher, &self.limits);
        (bounds.progress)(Progress::Checkout);
        let checkout = bound(&bounds.until, Progress::Checkout, checkout);
        let (checked_out, ()) = tokio::join!(checkout, pytest.ahead());
        if let Err(fault) = checked_out {
            pytest.give_up().await;
            return Err(fault);
        }
        drive(pytest, bounds, self.settings.check_proc_interval).await
    }

    /// Answers `task` with a predefined report.
    pub async fn run_mock(&self, task: &Task, bounds: &Bounds<'_>) -> Result<Report, Fault> {
        drive(mock::Mock::new(task, &self.mock_turn), bounds, self.settings.check_proc_interval).await
    }
}

/// What surrounds a run: its time, and who is told of its progress.
pub struct Bounds<'a> {
    /// How long it may go on.
    pub until: Deadline,
    /// Told of each progress as it begins.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// Where what is shared between tasks is kept.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The suite's mirror, its exported trees and its environments.
    pub state: std::path::PathBuf,
    /// Folders that live as long as one piece of work.
    pub work: std::path::PathBuf,
}

/// The driver: the phases in their order, under one deadline.
async fn drive(mut executor: impl Executor, bounds: &Bounds<'_>, pace: Duration) -> Result<Report, Fault> {
    let Bounds { until, progress } = bounds;
    progress(Progress::Prepare);
    if let Err(fault) = bound(until, Progress::Prepare, executor.prepare()).await {
        executor.give_up().await;
        return Err(fault);
    }
    progress(Progress::Execute);
    let started = bound(until, Progress::Execute, executor.startup()).await?;
    let (exit, mut ended_early) = match started {
        None => (None, None),
        Some(running) => {
            let (exit, fault) = watch(&mut executor, running, until, pace).await;
            (Some(exit), fault)
        }
    };
    executor.shutdown().await;
    progress(Progress::Report);
    let mut report = executor.post_process(exit.as_ref()).await;
    if let Some(fault) = &mut ended_early {
        let unfinished = report.interrupt_last();
        let listed = report.tally.total() - u64::from(unfinished);
        fault.message = format!("{}, {}", fault.message, finished(listed, report.finished));
        report.fault = ended_early;
    }
    Ok(report)
}

/// Waits for the child's end, which is an event; ends it at the deadline, on an interrupt, or when a check says so.
async fn watch(
    executor: &mut impl Executor,
    mut running: Running,
    until: &Deadline,
    pace: Duration,
) -> (Exit, Option<Fault>) {
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = running.ended() => return (running.finish().await, None),
            why = until.passed() => {
                let fault = stopped(until, why, Progress::Execute);
                return (running.stop(why).await, Some(fault));
            }
            _ = ticks.tick() => {
                if let Err(fault) = executor.check() {
                    return (running.stop(sandbox::command::Stopped::Deadline).await, Some(fault));
                }
            }
        }
    }
}

fn finished(listed: u64, progress: Option<(u64, u64)>) -> String {
    if let Some((ended, all)) = progress {
        return format!("{ended} of {all} tests had finished");
    }
    match listed {
        0 => "no test had finished".to_owned(),
        1 => "1 test had finished".to_owned(),
        n => format!("{n} tests had finished"),
    }
}
