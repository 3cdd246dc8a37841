//! Builds the daemon's parts: what polls, what runs tasks, what delivers, and the sandbox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::backend::Backend;
use crate::config::Config;
use crate::executors::Parts;
use crate::git::GitClient;
use crate::observe::serve;
use crate::observe::{Confinement, Observe};
use crate::pipeline::artifacts::Artifacts;
use crate::pipeline::attempt::Attempts;
use crate::pipeline::deliver::Deliver;
use crate::pipeline::poll::Poll;
use crate::pipeline::worker::Worker;
use crate::spool::{Found, Spool};
use sandbox::command::{self, Launcher, find_program};
use sandbox::confine::Sandbox;
use sandbox::trial::{self, FindError, TrialContext};
use sandbox::workspace;
use text::hex;

/// The runner's own binary, for the processes that it starts in other modes.
pub const OWN_BINARY: &str = "/proc/self/exe";

/// The daemon cannot work now, although its settings are right; the next start may succeed.
///
/// So the exit code is 1 and not 2: the systemd units restart the runner after 1 only.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotWork(pub String);

/// The daemon's parts.
pub struct Daemon {
    pub(super) poll: Poll,
    pub(super) worker: Arc<Worker>,
    pub(super) deliver: Deliver,
    /// Claims and results that an earlier run left in the spool.
    pub(super) found: Found,
    pub(super) spool: Spool,
    pub(super) observe: Observe,
}

impl Daemon {
    /// Builds the parts. With `--auth` the login begins at once.
    ///
    /// # Errors
    /// Another runner works in the state folder, the spool is unreadable, or a setting is unusable; [`CannotWork`] if
    /// the sandbox is weaker than `--sandbox-require`.
    pub async fn new(config: &Config, exe: &str) -> anyhow::Result<Self> {
        let settings = &config.settings;
        let (spool, mut found) = Spool::open(&config.folders.state)?;
        for (file, reason) in std::mem::take(&mut found.set_aside) {
            tracing::warn!(name: "spool_file_set_aside", file = %file.display(), reason, "a file of the spool was set aside");
        }
        command::sweep(&daemon_mark(config));
        workspace::sweep(&config.folders.work, Duration::ZERO);
        let observe = Observe::default();
        let timeouts = config.running.timeouts.clone();
        let backend = Arc::new(Backend::new(settings.backend.clone(), timeouts, observe.clone())?);
        let worker = Arc::new(worker(config, exe, daemon_mark(config), &observe).await?);
        let deliver = Deliver::new(backend.clone(), spool.clone(), observe.clone());
        let attempts = Attempts {
            worker: worker.clone(),
            deliver: deliver.clone(),
            on_interrupt: settings.poll.on_interrupt,
            observe: observe.clone(),
        };
        let poll = Poll::new(config.running.poll.clone(), backend, spool.clone(), Arc::new(attempts));
        tracing::info!(
            name: "runner_started",
            version = env!("OSTEST_VERSION"),
            backend = settings.backend.backend_url.as_str(),
            concurrent = settings.poll.concurrent,
            state = %config.folders.state.display(),
            claims = found.claims.len(),
            results = found.results.len(),
            "the runner starts"
        );
        Ok(Self { poll, worker, deliver, found, spool, observe })
    }

    /// What the status server at `--listen` shows.
    pub fn status_source(&self, config: &Config) -> serve::Source {
        let suite = self.worker.execution.runs_programs();
        serve::Source::new(self.observe.clone(), self.spool.clone(), config.folders.state.clone(), suite)
    }

    /// The counters and the health of this run.
    pub fn observe(&self) -> &Observe {
        &self.observe
    }
}

/// The prefix of the marks of all processes that a daemon on this state folder starts, in this run or an earlier one.
fn daemon_mark(config: &Config) -> String {
    let digest = Sha256::digest(config.folders.state.as_os_str().as_encoded_bytes());
    format!("daemon{}", hex(&digest[..8]))
}

/// Builds the worker, with the strongest confinement that this machine has. `mark` is the prefix of the marks of its
/// processes.
///
/// # Errors
/// [`CannotWork`] if no level of confinement works that `--sandbox-require` allows.
pub async fn worker(config: &Config, exe: &str, mark: String, observe: &Observe) -> anyhow::Result<Worker> {
    let settings = &config.settings;
    let prefix = format!("ostest-{mark}-");
    let launcher = Launcher::new(exe, mark, settings.process.clone()).observed(Arc::new(observe.clone()));
    let launcher = if settings.execute.runs_programs() {
        confined(config, launcher, prefix, observe).await?
    } else {
        launcher
    };
    let checkout = GitClient::new(
        config.running.checkout.clone(),
        launcher.clone(),
        observe.clone(),
        &config.folders.state,
    );
    let parts = Parts {
        suite: settings.suite.clone(),
        limits: settings.limits.clone(),
        launcher: launcher.clone(),
        git: checkout.clone(),
        state: config.folders.state.clone(),
        work: config.folders.work.clone(),
        observe: observe.clone(),
    };
    Ok(Worker {
        settings: config.running.worker.clone(),
        limits: settings.limits.clone(),
        work_dir: config.folders.work.clone(),
        artifacts: Artifacts::new(config.folders.state.join("kept"), settings.artifacts.clone()),
        execution: settings.execute.clone(),
        executor: settings.execute.executor().construct(parts),
        launcher,
        checkout,
    })
}

/// Chooses the sandbox, logs it in one line and returns a launcher that uses it.
async fn confined(
    config: &Config,
    launcher: Launcher,
    prefix: String,
    observe: &Observe,
) -> anyhow::Result<Launcher> {
    let sandbox = find_sandbox(config, &launcher, prefix).await;
    // On a machine under load a trial may have taken too long.
    let sandbox = sandbox.map_err(|why| CannotWork(format!("--sandbox: {why}")))?;
    let (level, enforcement, why) = (sandbox.level, sandbox.enforcement(), sandbox.weaker_because());
    let enforced = enforcement.to_string();
    observe.confined(Confinement { level, enforcement, weaker_because: why.clone() });
    let level = level.name();
    if let Some(why) = why {
        tracing::warn!(name: "sandbox_chosen", level, enforced, why, "sandbox");
    } else {
        tracing::info!(name: "sandbox_chosen", level, enforced, "sandbox");
    }
    Ok(launcher.confined(sandbox))
}

/// Chooses the sandbox for tasks by trying each level, the strongest first.
///
/// # Errors
/// No level works that `--sandbox-require` allows.
pub async fn find_sandbox(
    config: &Config,
    launcher: &Launcher,
    prefix: String,
) -> Result<Sandbox, FindError> {
    let state = &config.folders.state;
    let backend = &config.settings.backend;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let hidden = [
        Some(state.join("spool")),
        Some(state.join("kept")),
        backend.password_file.clone(),
        config.settings.config.clone(),
        credentials,
    ];
    let python = find_program("python3");
    let context = TrialContext {
        work: &config.folders.work,
        state,
        interpreter: python.as_deref(),
        hidden: hidden.into_iter().flatten().filter_map(|path| path.canonicalize().ok()).collect(),
        prefix,
    };
    trial::find(launcher, &config.settings.sandbox, context).await
}
