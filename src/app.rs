//! Puts the parts together for each thing that `runner` can be asked to do.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempts;
use crate::backend::Backend;
use crate::checkout::Checkout;
use crate::cli::{self, Cli, Command};
use crate::config::{Config, Given, Settings};
use crate::deliver::Deliver;
use crate::execute::{Execute, find_program};
use crate::kept::Kept;
use crate::live::Live;
use crate::logging::{self, Log};
use crate::notify::Manager;
use crate::observe::{Confinement, Observe};
use crate::poll::Poll;
use crate::process::confine::{self, Ground};
use crate::process::{self, Launcher, Until};
use crate::reload::Reload;
use crate::report::Fault;
use crate::sandbox::Sandbox;
use crate::screen::Screen;
use crate::spool::{Depth, Found, Spool};
use crate::stop::Stop;
use crate::worker::Worker;
use crate::{
    config_command, demo, doctor, healthcheck, manual, parse_report, run, serve, spool_command, workspace,
};

/// The runner's own binary, for the processes that it starts in other modes.
pub const OWN_BINARY: &str = "/proc/self/exe";

/// Why the daemon cannot work, though its settings are right: it may be otherwise at the next start. So it is no exit
/// code 2, after which the units do not start it again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotNow(String);

/// Does what the command line asks for. An error is one line about a wrong setting.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(Command::ParseReport { files, id }) = &cli.command {
        let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
        let code = parse_report::run(files, id.as_deref(), &cli.settings.limits, &mut out, &mut err);
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    if let Some(Command::Spool(command)) = &cli.command {
        let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
        let code = spool_command::run(&cli.settings.folders.the_state()?, command, &mut out, &mut err);
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    if let Some(Command::Config(command)) = &cli.command {
        return Ok(print(config_command::run(command, &cli.settings, &cli.given)?.as_bytes()));
    }
    match &cli.command {
        Some(Command::Completions { shell }) => {
            return Ok(print(&manual::completions(*shell, &cli::command())));
        }
        Some(Command::Man) => return Ok(print(&manual::page(cli::command())?)),
        _ => {}
    }
    let screen = Screen::of_stderr();
    let log = logging::start(&cli.settings.logging, cli.command.is_some(), &screen)?;
    if cli.settings.backend.password_fd.is_some() {
        tracing::warn!(
            "--password was on the command line: `ps` shows it for a moment, and a shell's history keeps it; prefer --password-file, RUNNER_PASSWORD, or a systemd credential named ostest-runner.password"
        );
    }
    // One thread: the work is in child processes, and a death signal goes with the thread that started the child.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            None => match daemon(&Config::check(cli.settings)?, cli.given, &log, &screen).await {
                Err(error) if error.is::<NotNow>() => {
                    writeln!(std::io::stderr(), "runner: {error}")?;
                    Ok(ExitCode::FAILURE)
                }
                done => done,
            },
            Some(Command::Run(args)) => Box::pin(run_once(cli.settings, args, &screen)).await,
            Some(Command::Doctor(args)) => Box::pin(examine(cli.settings, &args, &screen)).await,
            Some(Command::Healthcheck(args)) => check_health(&args, &cli.settings).await,
            Some(Command::Demo(args)) => {
                Box::pin(demo::run(cli.settings, args, &screen, &mut screen.beside())).await
            }
            // Done above, without a log or a runtime.
            Some(_) => Ok(ExitCode::SUCCESS),
        }
    })
}

fn print(answer: &[u8]) -> ExitCode {
    // A reader that has seen enough is no reason for a message.
    std::io::stdout().write_all(answer).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Has the doctor look. Where there is no state folder yet, the trials take place in one that goes again.
async fn examine(given: Settings, args: &doctor::Args, screen: &Screen) -> anyhow::Result<ExitCode> {
    let mut settings = given.clone();
    let absent = given.folders.state().is_ok_and(|state| !state.is_dir());
    let spare = absent.then(|| tempfile::TempDir::with_prefix("runner-doctor-")).transpose()?;
    if let Some(spare) = &spare {
        // A task may have a user of its own, who passes through it.
        std::fs::set_permissions(spare.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        settings.folders.state_dir = Some(spare.path().to_owned());
    }
    let mark = format!("doctor{:016x}", fastrand::u64(..));
    let launcher = Launcher::new(OWN_BINARY, mark.clone(), given.process.clone());
    let config = Config::check(settings).map_err(|error| format!("{error:#}"));
    let sandbox = match &config {
        Ok(config) if !given.execute.mock => {
            let trial = find_sandbox(config, &launcher, format!("ostest-{mark}-"));
            Some(screen.during(|| "trying the sandbox".to_owned(), trial).await)
        }
        _ => None,
    };
    let config = config.as_ref().map_err(Clone::clone);
    let doing = Live::new("programs");
    let patient = doctor::Patient { given: &given, config, launcher, sandbox, doing: &doing };
    let well = doctor::run(patient, args, screen, &mut std::io::stdout()).await?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn check_health(args: &healthcheck::Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let url = healthcheck::target(args, settings.serve.listen)?;
    let Err(error) = healthcheck::run(&url).await else { return Ok(ExitCode::SUCCESS) };
    writeln!(std::io::stderr(), "runner: {error:#}")?;
    Ok(ExitCode::FAILURE)
}

/// Takes tasks until it is told to stop.
async fn daemon(config: &Config, given: Given, log: &Log, screen: &Screen) -> anyhow::Result<ExitCode> {
    let manager = Manager::from_environment();
    let stop = Stop::default();
    let signals = stop.listen(screen).context("cannot listen for signals")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let mut reload = Reload::new(given, config.running.clone(), log.clone());
    let reread = async {
        while hangup.recv().await.is_some() {
            manager.reloading().await;
            log.reopen();
            reload.again();
            manager.ready().await;
        }
    };
    // At boot the address may not be there yet.
    let listener = serve::bind(&config.settings.serve).await;
    let listener = listener.map_err(|error| NotNow(format!("{error:#}")))?;
    let mut daemon = Daemon::new(config, OWN_BINARY).await?;
    let show = serve::run(listener, daemon.shown(config));
    manager.ready().await;
    let observe = daemon.observe.clone();
    let told = manager.run(&observe, &stop, wind_up(config));
    let serve = async {
        daemon.deliver_found().await;
        if daemon.warm_up_or_stop(&stop).await {
            daemon.run(&stop).await;
        } else {
            daemon.flush().await;
        }
        daemon.worker.execute.settle().await;
    };
    let overrun = stop.interrupt_after(config.running.drain.clone());
    tokio::select! {
        () = serve => Ok(ExitCode::SUCCESS),
        () = overrun => Ok(ExitCode::FAILURE),
        () = signals => Ok(ExitCode::FAILURE),
        () = show => Ok(ExitCode::FAILURE),
        () = told => Ok(ExitCode::FAILURE),
        () = reread => Ok(ExitCode::FAILURE),
    }
}

/// How long the runner takes at the most once what runs is interrupted: three graces for a step, its report, the flush.
fn wind_up(config: &Config) -> Duration {
    config.settings.process.grace.saturating_mul(3).saturating_add(Duration::from_secs(60))
}

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
            tracing::warn!(file = %file.display(), reason, "a file of the spool was set aside");
        }
        process::sweep(&daemon_mark(config));
        workspace::sweep(&config.folders.work);
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
            version = env!("OSTEST_VERSION"),
            backend = settings.backend.backend_url.as_str(),
            concurrent = settings.poll.concurrent,
            state = ?config.folders.state,
            claims = found.claims.len(),
            results = found.results.len(),
            "the runner starts"
        );
        Ok(Self { poll, worker, deliver, found, spool, observe })
    }

    /// What is shown of it to whoever asks at `--listen`.
    pub fn shown(&self, config: &Config) -> serve::Source {
        let suite = !self.worker.execute.is_mock();
        serve::Source::new(self.observe.clone(), self.spool.clone(), config.folders.state.clone(), suite)
    }

    /// What is known of its run.
    pub fn observe(&self) -> &Observe {
        &self.observe
    }

    /// Makes ready what tasks share. Nothing is to be claimed before that.
    pub async fn warm_up(&self, stop: &Stop) -> Result<(), Fault> {
        // Nothing runs yet that a drain would have to wait for.
        let until = Until::new(Instant::now(), Duration::ZERO, stop.drain.clone());
        self.worker.execute.warm_up(&until).await.inspect(|()| self.observe.warm())
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
    async fn flush(&self) {
        match self.deliver.drain().await {
            Ok(Depth { claimed: 0, results: 0, .. }) => {
                tracing::info!("stopped: everything that was taken is answered");
            }
            Ok(Depth { claimed, results, .. }) => {
                if results > 0 {
                    tracing::warn!(
                        left = results,
                        "stopped: results that the backend has not taken wait in the spool"
                    );
                }
                if claimed > 0 {
                    tracing::warn!(
                        left = claimed,
                        "stopped: claims that are not answered wait in the spool; they are run again at the next start"
                    );
                }
            }
            Err(error) => {
                tracing::error!(%error, "stopped: whether everything that was taken is answered, the spool does not tell");
            }
        }
    }

    /// Warms up for as long as it takes; false: told to stop meanwhile.
    async fn warm_up_or_stop(&self, stop: &Stop) -> bool {
        let mut pause = Duration::from_secs(1);
        loop {
            match self.warm_up(stop).await {
                Ok(()) => return true,
                Err(_) if stop.drain.is_cancelled() => return false,
                Err(fault) => {
                    tracing::error!(%fault, again_in = ?pause, "the suite is not ready; no task is taken before it is");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(60)),
                () = stop.drain.cancelled() => return false,
            }
        }
    }
}

async fn run_once(mut settings: Settings, args: run::Args, screen: &Screen) -> anyhow::Result<ExitCode> {
    // A folder or URL that a person names is that person's own word for it.
    settings.checkout.allow_local_repositories = true;
    let config = Config::check(settings)?;
    let observe = Observe::default();
    let worker = worker(&config, OWN_BINARY, format!("run{:016x}", fastrand::u64(..)), &observe).await?;
    let stop = Stop::default();
    // For a person at a terminal the first Ctrl-C interrupts: there is nothing to drain.
    let interrupt: CancellationToken = stop.drain.clone();
    let signals = stop.listen(screen)?;
    let mut out = std::io::stdout();
    tokio::select! {
        code = run::run(&worker, args, (&observe, screen), interrupt, &mut out) => {
            out.flush().ok();
            worker.execute.settle().await;
            Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
        () = signals => Ok(ExitCode::FAILURE),
    }
}

/// How the marks of all processes begin that a daemon on this state folder starts, in this run or an earlier one.
fn daemon_mark(config: &Config) -> String {
    let digest = Sha256::digest(config.folders.state.as_os_str().as_encoded_bytes());
    digest.iter().take(8).fold("daemon".to_owned(), |mark, byte| mark + &format!("{byte:02x}"))
}

async fn worker(config: &Config, exe: &str, mark: String, observe: &Observe) -> anyhow::Result<Worker> {
    let settings = &config.settings;
    let prefix = format!("ostest-{mark}-");
    let launcher = Launcher::new(exe, mark, settings.process.clone()).observed(observe.clone());
    let launcher = if settings.execute.mock { launcher } else { confined(config, launcher, prefix).await? };
    let checkout = Checkout::new(config.running.checkout.clone(), launcher.clone(), &config.folders.state);
    Ok(Worker {
        settings: config.running.worker.clone(),
        limits: settings.limits.clone(),
        work_dir: config.folders.work.clone(),
        kept: Kept::new(config.folders.state.join("kept"), settings.kept.clone()),
        execute: Execute::new(
            settings.execute.clone(),
            settings.suite.clone(),
            settings.limits.clone(),
            launcher,
            checkout.clone(),
            &config.folders,
        ),
        checkout,
    })
}

/// Finds out how strongly tasks can be confined here, and says so in one line.
async fn confined(config: &Config, launcher: Launcher, prefix: String) -> anyhow::Result<Launcher> {
    let sandbox = find_sandbox(config, &launcher, prefix).await;
    // On a machine under load a trial may have taken too long.
    let sandbox = sandbox.map_err(|why| NotNow(format!("--sandbox: {why}")))?;
    let (level, enforced) = (sandbox.level.name(), sandbox.line());
    let weaker_because = sandbox.weaker_because.clone();
    launcher.observe().confined(Confinement { level, line: enforced.clone(), weaker_because });
    if let Some(why) = &sandbox.weaker_because {
        tracing::warn!(level, enforced, why, "sandbox");
    } else {
        tracing::info!(level, enforced, "sandbox");
    }
    Ok(launcher.confined(sandbox))
}

async fn find_sandbox(config: &Config, launcher: &Launcher, prefix: String) -> Result<Sandbox, String> {
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
    confine::find(launcher, &config.settings.sandbox, ground).await
}
