//! Puts the parts together for each thing that `runner` can be asked to do.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{self, Cli, Command};
use crate::config::{Config, Given, Settings};
use crate::daemon::notify::Manager;
use crate::daemon::reload::Reload;
use crate::daemon::{Daemon, NotNow, OWN_BINARY, find_sandbox, worker};
use crate::live::Live;
use crate::observe::Observe;
use crate::observe::logging::{self, Log};
use crate::observe::screen::Screen;
use crate::pipeline::stop::Stop;
use crate::{
    cli::config, cli::demo, cli::doctor, cli::healthcheck, cli::manual, cli::parse_report, cli::run,
    cli::spool, observe::serve,
};
use sandbox::command::Launcher;
use sandbox::workspace;

/// Does what the command line asks for. An error is one line about a wrong setting.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(Command::ParseReport { files, id }) = &cli.command {
        let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
        let code = parse_report::run(files, id.as_deref(), &cli.settings.limits, &mut out, &mut err);
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    if let Some(Command::Spool(command)) = &cli.command {
        let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
        let code = spool::run(&cli.settings.folders.the_state()?, command, &mut out, &mut err);
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    if let Some(Command::Config(command)) = &cli.command {
        return Ok(print(config::run(command, &cli.settings, &cli.given)?.as_bytes()));
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
            name: "password_on_command_line",
            "--password was on the command line: `ps` shows it for a moment, and a shell's history keeps it; prefer --password-file, RUNNER_PASSWORD, or a systemd credential named ostest-runner.password"
        );
    }
    if cli.command.is_none() {
        for warning in &cli.given.warnings {
            tracing::warn!(name: "setting_warning", "{warning}");
        }
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
            Some(Command::Doctor(args)) => Box::pin(examine(cli.settings, cli.given, &args, &screen)).await,
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
async fn examine(
    given: Settings,
    Given { wrong: wrong_file, warnings, .. }: Given,
    args: &doctor::Args,
    screen: &Screen,
) -> anyhow::Result<ExitCode> {
    let mut settings = given.clone();
    let absent = wrong_file.is_none() && given.folders.state().is_ok_and(|state| !state.is_dir());
    let spare = absent.then(spare_folder).transpose();
    if let Ok(Some(spare)) = &spare {
        settings.folders.state_dir = Some(spare.path().to_owned());
    }
    let mark = format!("doctor{:016x}", fastrand::u64(..));
    let launcher = Launcher::new(OWN_BINARY, mark.clone(), given.process.clone());
    let config = match &spare {
        // Nothing is made where a wrong file may have meant another place.
        _ if wrong_file.is_some() => Err("the file of settings is wrong".to_owned()),
        Ok(_) => Config::check(settings).map_err(|error| format!("{error:#}")),
        Err(error) => Err(format!("no folder to try things in: {error}; --state-dir may name one")),
    };
    let sandbox = match &config {
        Ok(config) if given.execute.runs_programs() => {
            let trial = find_sandbox(config, &launcher, format!("ostest-{mark}-"));
            Some(screen.during(|| "trying the sandbox".to_owned(), trial).await)
        }
        _ => None,
    };
    let ground = match (absent, &config) {
        (true, _) => std::env::temp_dir(),
        (false, Ok(config)) => config.folders.work.clone(),
        (false, Err(_)) => given.folders.state().unwrap_or_default(),
    };
    let config = config.as_ref().map_err(Clone::clone);
    let doing = Live::new("programs");
    let patient = doctor::Patient {
        given: &given,
        wrong_file,
        warnings,
        config,
        ground: &ground,
        launcher,
        sandbox,
        doing: &doing,
    };
    let well = doctor::run(patient, args, screen, &mut std::io::stdout()).await?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn spare_folder() -> std::io::Result<tempfile::TempDir> {
    let spare = tempfile::TempDir::with_prefix("runner-doctor-")?;
    // A task may have a user of its own, who passes through it.
    std::fs::set_permissions(spare.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    Ok(spare)
}

fn read_again(arguments: Vec<OsString>) -> Result<(Settings, Given), String> {
    let cli = cli::parse(arguments).map_err(|error| {
        let line = cli::one_line(&error);
        line.trim_start_matches("error: ").to_owned()
    })?;
    Ok((cli.settings, cli.given))
}

async fn check_health(args: &healthcheck::Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let url = healthcheck::target(args, settings.serve.listen.0)?;
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
    let mut reload = Reload::new(read_again, given, &config.settings, config.running.clone(), log.clone());
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
    let observe = daemon.observe().clone();
    let told = manager.run(&observe, &stop, wind_up(config));
    let serve = async {
        daemon.deliver_found().await;
        if daemon.warm_up_or_stop(&stop).await {
            daemon.run(&stop).await;
        } else {
            daemon.flush().await;
        }
        daemon.settle().await;
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

async fn run_once(mut settings: Settings, args: run::Args, screen: &Screen) -> anyhow::Result<ExitCode> {
    // A folder or URL that a person names is that person's own word for it.
    settings.checkout.allow_local_repositories = true;
    let config = Config::check(settings)?;
    // Of runs that were killed. One that begins at the same time has a moment to lock what it made.
    workspace::sweep(&config.folders.work, Duration::from_secs(60));
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
            worker.settle().await;
            Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
        () = signals => Ok(ExitCode::FAILURE),
    }
}
