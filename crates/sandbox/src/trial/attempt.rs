//! The trial of one level.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;
use text::Limit;

use super::context::TrialContext;
use super::folders::{MOUNTPOINT, close_state, shared_folder};
use crate::command::{BWRAP, Deadline, Exit, Launcher, Spec};
use crate::confine::broker;
use crate::confine::users::Users;
use crate::confine::{Level, Limits, Plan, Sandbox, SuiteView, TrialError, TrialErrorKind};
use crate::workspace::Workspace;

/// Longest time that a trial may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Script of a trial: the working directory can be written to, the interpreter `$1` can be executed, and a broker (`$2` is
/// not empty) makes the call that it gets. That the kernel hands calls over does not show that a broker can make them.
const SCRIPT: &str = "test -w . && { test -z \"$1\" || test -x \"$1\" || { echo \"it cannot execute $1\" >&2; false; }; } \
                      && { test -z \"$2\" || chmod u+w .; }";

/// Tries `level`: as root with a user for the task, else with a broker where one works.
pub(super) async fn attempt(
    launcher: &Launcher,
    base: &Sandbox,
    level: Level,
    context: &TrialContext<'_>,
) -> Result<Sandbox, TrialError> {
    let mut candidate = Sandbox { level, ..base.clone() };
    if level == Level::Bwrap && !Path::new(BWRAP).exists() {
        let message = "bubblewrap is not installed (apt-get install bubblewrap)";
        return Err(TrialError::new(level, TrialErrorKind::NotInstalled, message));
    }
    if !geteuid().is_root() {
        return without_root(launcher, candidate, context).await;
    }
    let failed = |kind, what: &'static str| move |error: io::Error| TrialError::io(level, kind, what, &error);
    let shared =
        shared_folder().map_err(failed(TrialErrorKind::SharedFolder, "no folder for mounts and locks"))?;
    let users = Users::new(base.settings.sandbox_uid, &shared.join("users"));
    candidate.users = Some(users.map_err(failed(TrialErrorKind::User, "no locks for users"))?);
    candidate.mountpoint = (level == Level::Bwrap).then(|| shared.join(MOUNTPOINT));
    if level == Level::Basic {
        close_state(context).map_err(failed(TrialErrorKind::StateFolder, "the state folder"))?;
    }
    run(launcher, &candidate, context).await.map(|()| candidate)
}

/// Tries a level as the runner's own user.
async fn without_root(
    launcher: &Launcher,
    candidate: Sandbox,
    context: &TrialContext<'_>,
) -> Result<Sandbox, TrialError> {
    let brokered = Sandbox { broker: broker::is_supported(), ..candidate.clone() };
    if brokered.broker && run(launcher, &brokered, context).await.is_ok() {
        return Ok(brokered);
    }
    run(launcher, &candidate, context).await.map(|()| candidate)
}

/// Runs the trial's shell in `sandbox`.
async fn run(launcher: &Launcher, sandbox: &Sandbox, context: &TrialContext<'_>) -> Result<(), TrialError> {
    let level = sandbox.level;
    let no_folder =
        |error: io::Error| TrialError::io(level, TrialErrorKind::Workspace, "a folder to try in", &error);
    let workspace = Workspace::new(context.work).map_err(no_folder)?;
    fs::create_dir(workspace.source()).map_err(no_folder)?;
    fs::create_dir(workspace.suite()).map_err(no_folder)?;
    let loan = sandbox.users.as_ref().map(Users::lend).transpose();
    let loan = loan.map_err(|error| TrialError::io(level, TrialErrorKind::User, "a user", &error))?;
    let interpreter = context.interpreter.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    let name = format!("trial-{:08x}", fastrand::u32(..));
    let view = view(&workspace, interpreter.as_deref());
    let mut plan = sandbox.suite(&name, loan.as_ref().map(|loan| loan.uid), view);
    // The trial is about this machine, not about how little a task may use.
    plan.limits = enough(plan.limits);
    let spec = spec(&workspace, plan, interpreter.as_deref());
    let exit = launcher.run(spec, &Deadline::within(TIMEOUT)).await.map_err(|error| {
        TrialError::new(level, TrialErrorKind::Start, error.to_string()).with_errno(error.errno())
    })?;
    if exit.success() { Ok(()) } else { Err(of_exit(level, &exit)) }
}

fn view(workspace: &Workspace, interpreter: Option<&Path>) -> SuiteView {
    let installation = interpreter.and_then(Path::parent).and_then(Path::parent);
    SuiteView {
        mountpoint: workspace.mountpoint(),
        tree: workspace.suite(),
        suite: workspace.suite(),
        source: workspace.source(),
        home: workspace.home(),
        temp: workspace.temp(),
        out: workspace.out(),
        report: workspace.report(),
        report_limit: 0,
        readable: installation.map(Path::to_owned).into_iter().collect(),
        guarded: Vec::new(),
    }
}

fn spec(workspace: &Workspace, plan: Plan, interpreter: Option<&Path>) -> Spec {
    let interpreter = interpreter.map(|path| path.display().to_string()).unwrap_or_default();
    let brokered = if plan.brokered { "yes" } else { "" };
    Spec {
        program: "/bin/sh".to_owned(),
        args: ["-c", SCRIPT, "sh", &interpreter, brokered].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        dir: workspace.source(),
        plan,
        ..Spec::default()
    }
}

fn of_exit(level: Level, exit: &Exit) -> TrialError {
    let message =
        exit.last_words().unwrap_or_else(|| format!("a shell in it ended with {}", exit.describe()));
    TrialError::new(level, TrialErrorKind::Shell { signal: exit.signal }, message)
}

/// Raises `limits` so that a shell can run.
fn enough(limits: Limits) -> Limits {
    let at_least = |limit: Limit<u64>, least: u64| Limit(limit.0.map(|value| value.max(least)));
    Limits {
        memory: at_least(limits.memory, 64 << 20),
        disk: at_least(limits.disk, 64 << 20),
        pids: at_least(limits.pids, 32),
        nofile: at_least(limits.nofile, 64),
        ..limits
    }
}
