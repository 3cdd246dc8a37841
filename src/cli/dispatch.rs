//! Runs what the command line asks for: a subcommand, or else the daemon.

use std::ffi::OsString;
use std::io::{self, Write};

use tokio::runtime::{Builder, Runtime};

use crate::cli::{self, Cli, Command, Exit};
use crate::cli::{config, demo, doctor, healthcheck, manual, parse_report, run, spool};
use crate::config::{Config, Given, Settings};
use crate::daemon::{self, CannotWork};
use crate::observe::logging::{self, Log};
use crate::observe::screen::Screen;

/// Runs what `cli` asks for.
///
/// # Errors
/// A setting or an input is unusable. The message is one line; the exit code is [`Exit::Unusable`].
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let Cli { command, settings, given } = cli;
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    match command {
        Some(Command::ParseReport(args)) => {
            Ok(written(parse_report::run(&args, &settings.limits, &mut out, &mut err)))
        }
        Some(Command::Spool(command)) => {
            let state = settings.folders.single_state()?;
            Ok(written(spool::run(&state, &command, &mut out, &mut err)))
        }
        Some(Command::Config(command)) => {
            let text = config::run(&command, &settings, &given)?;
            Ok(written(out.write_all(text.as_bytes()).map(|()| Exit::Success)))
        }
        Some(Command::Completions { shell }) => {
            let script = manual::completions(shell, &cli::command());
            Ok(written(out.write_all(&script).map(|()| Exit::Success)))
        }
        Some(Command::Man) => {
            let page = manual::page(cli::command())?;
            Ok(written(out.write_all(&page).map(|()| Exit::Success)))
        }
        command => {
            // The log and the progress line lock them for each line.
            drop((out, err));
            run_with_log(command, settings, given)
        }
    }
}

/// Runs a subcommand that works for a while, or the daemon, with a log and a runtime.
fn run_with_log(command: Option<Command>, settings: Settings, given: Given) -> anyhow::Result<Exit> {
    let screen = Screen::of_stderr();
    let log = logging::start(&settings.logging, command.is_some(), &screen)?;
    if settings.backend.password_fd.is_some() {
        tracing::warn!(
            name: "password_on_command_line",
            "--password was on the command line: `ps` showed it for a moment, and the shell's history keeps it; \
             prefer --password-file, RUNNER_PASSWORD, or a systemd credential named ostest-runner.password"
        );
    }
    let runtime = runtime()?;
    match command {
        Some(Command::Run(args)) => runtime.block_on(Box::pin(run::run(settings, args, &screen))),
        Some(Command::Doctor(args)) => {
            runtime.block_on(Box::pin(doctor::run(settings, given, &args, &screen)))
        }
        Some(Command::Healthcheck(args)) => runtime.block_on(healthcheck::run(&args, &settings)),
        Some(Command::Demo(args)) => {
            runtime.block_on(Box::pin(demo::run(settings, args, &screen, &mut screen.beside())))
        }
        _ => run_daemon(&runtime, settings, given, &log, &screen),
    }
}

/// A runtime with one thread: the work is in child processes, and a child dies with the thread that started it.
fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn run_daemon(
    runtime: &Runtime,
    settings: Settings,
    given: Given,
    log: &Log,
    screen: &Screen,
) -> anyhow::Result<Exit> {
    for warning in &given.warnings {
        tracing::warn!(name: "setting_warning", "{warning}");
    }
    let config = Config::check(settings)?;
    match runtime.block_on(Box::pin(daemon::run(&config, given, read_again, log, screen))) {
        Err(error) if error.is::<CannotWork>() => {
            writeln!(io::stderr(), "runner: {error}")?;
            Ok(Exit::Failure)
        }
        ended => ended.map(|()| Exit::Success),
    }
}

/// Reads the settings again for a reload. An error is one line.
fn read_again(arguments: Vec<OsString>) -> Result<(Settings, Given), String> {
    let cli = cli::parse(arguments).map_err(|error| {
        let line = cli::one_line(&error);
        line.trim_start_matches("error: ").to_owned()
    })?;
    Ok((cli.settings, cli.given))
}

/// The exit code of a subcommand that only writes. A reader that closes the pipe early gets no message.
fn written(exit: io::Result<Exit>) -> Exit {
    exit.unwrap_or(Exit::Failure)
}
