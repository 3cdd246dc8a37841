//! The daemon's parts, put together: what takes tasks, what works on them, what delivers, and how tasks are confined.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::backend::Backend;
use crate::config::Config;
use crate::executors::Parts;
use crate::git::GitClient;
use crate::observe::serve;
use crate::observe::{Confinement, Observe};
use crate::pipeline::attempt::Attempts;
use crate::pipeline::deliver::{Deliver, Left};
use crate::pipeline::kept::Kept;
use crate::pipeline::poll::Poll;
use crate::pipeline::stop::Stop;
use crate::pipeline::worker::Worker;
use crate::spool::{Found, Spool};
use report::Fault;
use sandbox::command::find_program;
use sandbox::command::{self, Deadline, Launcher};
use sandbox::confine::Sandbox;
use sandbox::trial::{self, Ground};
use sandbox::workspace;

/// The runner's own binary, for the processes that it starts in other modes.
pub const OWN_BINARY: &str = "/proc/self/exe";

/// Why the daemon cannot work, though its settings are right: it may be otherwise at the next start. So it is no exit
/// code 2, after which the units do not start it again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotNow(pub String);

/// Everything that the daemon is made of.
pub struct Daemon {
    poll: Poll,
    worker: Arc<Worker>,
    deliver: Deliver,
    found: Found,
    spool: Spool,
    observe: Observe,
}

impl Daemon {
    /// Puts the parts together; with `--auth` the login begins at once. Fails where another runner works on the same
    /// state folder.
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

    /// What is shown of it to whoever asks at `--listen`.
    pub fn shown(&self, config: &Config) -> serve::Source {
        let suite = self.worker.execution.runs_programs();
        serve::Source::new(self.observe.clone(), self.spool.clone(), config.folders.state.clone(), suite)
    }

    /// What is known of its run.
    pub fn observe(&self) -> &Observe {
        &self.observe
    }

    /// Makes ready what tasks share. Nothing is to be claimed before that.
    pub async fn warm_up(&self, stop: &Stop) -> Result<(), Fault> {
        // Nothing runs yet that a drain would have to wait for.
        let until = Deadline::new(Instant::now(), Duration::ZERO, stop.drain.clone());
        self.worker.warm_up(&until).await.inspect(|()| self.observe.suite_ready())
    }

    /// Delivers what an earlier run has finished. Needs no suite, and so no warm-up.
    pub async fn deliver_found(&mut self) {
        for finished in std::mem::take(&mut self.found.results) {
            self.deliver.submit(finished).await;
        }
    }

    /// Takes, runs and delivers until `stop` drains. What the backend has not taken by then waits in the spool.
    pub async fn run(&mut self, stop: &Stop) {
        let found = std::mem::take(&mut self.found.claims);
        tokio::select! {
            () = self.poll.run(found, stop) => {}
            () = self.deliver.watch_spool() => {}
        }
        self.flush().await;
    }

    /// Hands in what can be, and says what is left: nothing that waits in the spool is answered.
    pub async fn flush(&self) {
        match self.deliver.drain().await {
            Ok(Left { claims: 0, results: 0, unspooled: 0 }) => {
                tracing::info!(name: "stopped_clean", "stopped: everything that was taken is answered");
            }
            Ok(Left { claims, results, unspooled }) => {
                if unspooled > 0 {
                    tracing::error!(name: "stopped_with_unspooled", left = unspooled, "stopped: results that only the log holds, see above");
                }
                if results > 0 {
                    tracing::warn!(
                        name: "stopped_with_results",
                        left = results,
                        "stopped: results that the backend has not taken wait in the spool"
                    );
                }
                if claims > 0 {
                    tracing::warn!(
                        name: "stopped_with_claims",
                        left = claims,
                        "stopped: claims that are not answered wait in the spool; they are run again at the next start"
                    );
                }
            }
            Err(error) => {
                tracing::error!(name: "stopped_unknown", %error, "stopped: whether everything that was taken is answered, the spool does not tell");
            }
        }
    }

    /// Ends what works on tasks, with what it keeps ready.
    pub async fn settle(&self) {
        self.worker.settle().await;
    }

    /// Warms up for as long as it takes; false: told to stop meanwhile.
    pub async fn warm_up_or_stop(&self, stop: &Stop) -> bool {
        let mut pause = Duration::from_secs(1);
        loop {
            match self.warm_up(stop).await {
                Ok(()) => return true,
                Err(_) if stop.drain.is_cancelled() => return false,
                Err(fault) => {
                    tracing::error!(name: "suite_not_ready", progress = %fault.progress, cause = ?fault.cause, %fault, again_in = ?pause, "the suite is not ready; no task is taken before it is");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(60)),
                () = stop.drain.cancelled() => return false,
            }
        }
    }
}

/// How the marks of all processes begin that a daemon on this state folder starts, in this run or an earlier one.
fn daemon_mark(config: &Config) -> String {
    let digest = Sha256::digest(config.folders.state.as_os_str().as_encoded_bytes());
    digest.iter().take(8).fold("daemon".to_owned(), |mark, byte| mark + &format!("{byte:02x}"))
}

/// Whoever runs tasks, confined as strongly as can be here; `mark` is how the marks of all its processes begin.
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
        kept: Kept::new(config.folders.state.join("kept"), settings.kept.clone()),
        execution: settings.execute.clone(),
        executor: settings.execute.executor().construct(parts),
        launcher,
        checkout,
    })
}

/// Finds out how strongly tasks can be confined here, and says so in one line.
async fn confined(
    config: &Config,
    launcher: Launcher,
    prefix: String,
    observe: &Observe,
) -> anyhow::Result<Launcher> {
    let sandbox = find_sandbox(config, &launcher, prefix).await;
    // On a machine under load a trial may have taken too long.
    let sandbox = sandbox.map_err(|why| NotNow(format!("--sandbox: {why}")))?;
    let (level, enforced) = (sandbox.level.name(), sandbox.line());
    let weaker_because = sandbox.weaker_because.clone();
    observe.confined(Confinement { level, line: enforced.clone(), weaker_because });
    if let Some(why) = &sandbox.weaker_because {
        tracing::warn!(name: "sandbox_chosen", level, enforced, why, "sandbox");
    } else {
        tracing::info!(name: "sandbox_chosen", level, enforced, "sandbox");
    }
    Ok(launcher.confined(sandbox))
}

/// Finds the sandbox for tasks by trying it.
pub async fn find_sandbox(config: &Config, launcher: &Launcher, prefix: String) -> Result<Sandbox, String> {
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
    let ground = Ground {
        work: &config.folders.work,
        state,
        python: python.as_deref(),
        hidden: hidden.into_iter().flatten().filter_map(|path| path.canonicalize().ok()).collect(),
        prefix,
    };
    trial::find(launcher, &config.settings.sandbox, ground).await
}
