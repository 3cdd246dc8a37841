//! Finds out by trying how strongly steps can be confined on this machine.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;

use crate::command::{BWRAP, Deadline, Launcher, Spec};
use crate::confine::broker;
use crate::confine::cgroup::Groups;
use crate::confine::users::Users;
use crate::confine::{Choice, Level, Limits, Most, Network, Sandbox, Settings, SuiteView, stage_version};
use crate::workspace::Workspace;

/// Where a trial takes place.
#[derive(Debug)]
pub struct Ground<'a> {
    /// Folder below which tasks get their own.
    pub work: &'a Path,
    /// Folder of what outlives a run.
    pub state: &'a Path,
    /// The interpreter that suites will run with; the user of a task must be able to.
    pub python: Option<&'a Path>,
    /// What tools must not see.
    pub hidden: Vec<PathBuf>,
    /// Begins the names of this runner's control groups; those of its earlier runs are removed.
    pub prefix: String,
}

/// How long a trial may take.
const TRIAL: Duration = Duration::from_secs(30);

/// The strongest confinement that works here and that `settings` ask for. An error says why it is too weak.
pub async fn find(launcher: &Launcher, settings: &Settings, ground: Ground<'_>) -> Result<Sandbox, String> {
    let sandbox = Sandbox { prefix: ground.prefix.clone(), ..Sandbox::off(settings.clone()) };
    let groups = Groups::find();
    if let Some(groups) = &groups {
        groups.sweep(&ground.prefix);
    }
    let sandbox = Sandbox { groups, landlock: stage_version(), hidden: ground.hidden.clone(), ..sandbox };
    let levels: &[Level] = match settings.sandbox {
        Choice::None => &[],
        Choice::Basic => &[Level::Basic],
        Choice::Bwrap => &[Level::Bwrap],
        Choice::Auto => &[Level::Bwrap, Level::Basic],
    };
    let mut because: Vec<String> = Vec::new();
    let mut found = None;
    for &level in levels {
        match attempt(launcher, &sandbox, level, &ground).await {
            Ok(works) => {
                found = Some(works);
                break;
            }
            Err(why) => because.push(format!("{}: {why}", level.name())),
        }
    }
    let asked = match settings.sandbox {
        Choice::Bwrap => Some(Level::Bwrap),
        Choice::Basic => Some(Level::Basic),
        Choice::Auto | Choice::None => None,
    };
    let required = settings.sandbox_require.max(asked).unwrap_or(Level::None);
    if geteuid().is_root() && settings.sandbox != Choice::None && found.is_none() {
        return Err(as_root(&because.join("; ")));
    }
    let mut found = found.unwrap_or(sandbox);
    if !because.is_empty() {
        let more = found.weaker_because.take();
        found.weaker_because = Some(because.into_iter().chain(more).collect::<Vec<_>>().join("; "));
    }
    if found.level < required {
        let why = found.weaker_because.map(|why| format!(" ({why})")).unwrap_or_default();
        return Err(format!(
            "the sandbox here would be {}, which is weaker than the {} that is required{why}",
            found.level.name(),
            required.name()
        ));
    }
    Ok(found)
}

/// Root is no user for strangers' code, unless somebody says so.
fn as_root(why: &str) -> String {
    format!(
        "as root each task is to have a user of its own, and here it cannot ({why}); install bubblewrap, or give \
         a --state-dir that every user can pass to, such as /var/lib/ostest-runner, and a python3 in the PATH that every \
         user can execute, or do not run this as root; --sandbox none runs strangers' code as root"
    )
}

/// Tries `level`, as root with a user for each task.
async fn attempt(
    launcher: &Launcher,
    sandbox: &Sandbox,
    level: Level,
    ground: &Ground<'_>,
) -> Result<Sandbox, String> {
    let mut candidate = Sandbox { level, ..sandbox.clone() };
    if level == Level::Bwrap && !Path::new(BWRAP).exists() {
        return Err("bubblewrap is not installed (apt-get install bubblewrap)".to_owned());
    }
    if !geteuid().is_root() {
        return as_user(launcher, candidate, ground).await;
    }
    let shared = shared_folder().map_err(|error| format!("no folder for mounts and locks: {error}"))?;
    let users = Users::new(sandbox.settings.sandbox_uid, &shared.join("users"));
    candidate.users = Some(users.map_err(|error| format!("no locks for users: {error}"))?);
    candidate.stage = (level == Level::Bwrap).then(|| shared.join("stage"));
    if level == Level::Basic {
        close_state(ground).map_err(|error| format!("the state folder: {error}"))?;
    }
    trial(launcher, &candidate, ground).await.map(|()| candidate)
}

/// As the runner's own user: with a broker, where one works.
async fn as_user(launcher: &Launcher, candidate: Sandbox, ground: &Ground<'_>) -> Result<Sandbox, String> {
    let brokered = Sandbox { broker: broker::is_there(), ..candidate.clone() };
    if brokered.broker && trial(launcher, &brokered, ground).await.is_ok() {
        return Ok(brokered);
    }
    trial(launcher, &candidate, ground).await.map(|()| candidate)
}

/// Runs a shell in it, which looks whether the interpreter is in reach.
async fn trial(launcher: &Launcher, sandbox: &Sandbox, ground: &Ground<'_>) -> Result<(), String> {
    let words = |what: &str, error: io::Error| format!("{what}: {error}");
    let workspace = Workspace::new(ground.work).map_err(|error| words("a folder to try in", error))?;
    let suite = workspace.suite();
    fs::create_dir(workspace.source()).map_err(|error| words("a folder to try in", error))?;
    fs::create_dir(&suite).map_err(|error| words("a folder to try in", error))?;
    let loan = sandbox.users.as_ref().map(Users::lend).transpose().map_err(|error| words("a user", error))?;
    let python = ground.python.map(|python| python.canonicalize().unwrap_or_else(|_| python.to_owned()));
    let view = SuiteView {
        stage: workspace.stage(),
        tree: suite.clone(),
        suite,
        source: workspace.source(),
        home: workspace.home(),
        temp: workspace.temp(),
        out: workspace.out(),
        report: workspace.report(),
        report_limit: 0,
        readable: python
            .as_deref()
            .and_then(Path::parent)
            .and_then(Path::parent)
            .map(Path::to_owned)
            .into_iter()
            .collect(),
        guarded: Vec::new(),
    };
    let name = format!("trial-{:08x}", fastrand::u32(..));
    let mut plan = sandbox.suite(&name, loan.as_ref().map(|loan| loan.uid), view);
    // What is tried is this machine, not how little a task may have.
    plan.limits = enough(plan.limits);
    let python = python.map(|python| python.display().to_string()).unwrap_or_default();
    // With a broker the last is its to make: that the system hands calls over does not show that they can be made.
    let script = "test -w . && { test -z \"$1\" || test -x \"$1\" || { echo \"it cannot execute $1\" >&2; false; }; } \
                  && { test -z \"$2\" || chmod u+w .; }";
    let brokered = if plan.brokered { "yes" } else { "" };
    let spec = Spec {
        program: "/bin/sh".to_owned(),
        args: ["-c", script, "sh", &python, brokered].map(str::to_owned).to_vec(),
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        dir: workspace.source(),
        plan,
        ..Spec::default()
    };
    let exit = launcher.run(spec, &Deadline::within(TRIAL)).await.map_err(|error| error.to_string())?;
    if exit.success() {
        return Ok(());
    }
    Err(exit.last_words().unwrap_or_else(|| format!("a shell in it ended with {}", exit.describe())))
}

/// Limits with which a shell can run.
fn enough(limits: Limits) -> Limits {
    let at_least = |most: Most<u64>, least: u64| Most(most.0.map(|most| most.max(least)));
    Limits {
        memory: at_least(limits.memory, 64 << 20),
        disk: at_least(limits.disk, 64 << 20),
        pids: at_least(limits.pids, 32),
        nofile: at_least(limits.nofile, 64),
        ..limits
    }
}

/// The folder that all runners of a host share where they are root: everybody can pass through it, nobody else writes.
fn shared_folder() -> io::Result<PathBuf> {
    // Not $RUNTIME_DIRECTORY first: two services have two of those, and would lend the same users twice.
    let given = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute());
    let own = |top| Path::new(top).join("ostest-runner");
    let candidates = [own("/run")].into_iter().chain(given).chain(["/var/tmp", "/tmp"].map(own));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in candidates {
        let made = make_shared(&folder);
        match made {
            Ok(()) => return Ok(folder),
            Err(error) => last = io::Error::other(format!("{}: {error}", folder.display())),
        }
    }
    Err(last)
}

fn make_shared(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    DirBuilder::new().recursive(true).mode(0o755).create(folder.join("stage"))?;
    for made in [folder.to_owned(), folder.join("stage")] {
        let meta = fs::symlink_metadata(&made)?;
        if !meta.is_dir() || meta.uid() != 0 {
            return Err(io::Error::other("it is not root's own folder"));
        }
        fs::set_permissions(&made, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Without namespaces, tasks of other users pass through the state folder to their own; all else in it is closed.
fn close_state(ground: &Ground<'_>) -> io::Result<()> {
    for open in [ground.state, ground.work] {
        fs::set_permissions(open, Permissions::from_mode(0o711))?;
    }
    // What is fetched of students and of the suite is copied to a task by the runner.
    for closed in ["spool", "kept", "repositories", "suite"].map(|name| ground.state.join(name)) {
        DirBuilder::new().recursive(true).mode(0o700).create(&closed)?;
        fs::set_permissions(&closed, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// What to tell people of a setting that weakens what is there.
pub fn remark(sandbox: &Sandbox) -> Option<&'static str> {
    (sandbox.level > Level::None && sandbox.settings.network == Network::Host)
        .then_some("--network host: tasks reach whatever this machine reaches")
}
