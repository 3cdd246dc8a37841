//! The `mock-backend` program: a stand-in for the OSTEST backend that one can start, feed and break by hand.
//! Prints a line when it listens and a line for each thing that happens. Exit codes: 0 when it was stopped or
//! all is done, 1 when it cannot listen, 2 for bad input.

mod cli;

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use mock_backend::{Fault, MockBackend, NewTask, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) if !shown.use_stderr() => {
            say(shown.render().to_string().trim_end());
            return ExitCode::SUCCESS;
        }
        Err(wrong) => return bad_input(&in_one_line(&wrong.to_string())),
    };
    match prepare(&cli) {
        Ok((tasks, faults)) => run(&cli, tasks, faults).await,
        Err(why) => bad_input(&why),
    }
}

/// Everything that can be wrong with the input, before anything starts.
fn prepare(cli: &Cli) -> Result<(Vec<NewTask>, Vec<Fault>), String> {
    let tasks = cli.tasks()?;
    if cli.exit_when_done && tasks.is_empty() {
        return Err("--exit-when-done needs tasks: --tasks, --task or --generate".to_owned());
    }
    Ok((tasks, cli.fault.clone()))
}

async fn run(cli: &Cli, tasks: Vec<NewTask>, faults: Vec<Fault>) -> ExitCode {
    let backend = match MockBackend::start(cli.settings()).await {
        Ok(backend) => backend,
        Err(cause @ StartError::Path(_)) => return bad_input(&cause.to_string()),
        Err(cause) => return fail(1, &cause.to_string()),
    };
    let count = tasks.len();
    for task in tasks {
        backend.submit(task);
    }
    for fault in faults {
        backend.fault(fault);
    }
    let events = backend.events();
    let stopped = catch_signals();
    say(format!("mock-backend listens on {}", backend.url()));
    if count > 0 {
        say(format!("{count} tasks wait"));
    }
    tokio::select! {
        () = stopped => {}
        () = print_events(events, || cli.exit_when_done && backend.unanswered() == 0) => say(backend.table().trim_end()),
    }
    backend.shutdown().await;
    ExitCode::SUCCESS
}

/// Prints what happens until it is done.
async fn print_events(mut events: broadcast::Receiver<mock_backend::Event>, done: impl Fn() -> bool) {
    loop {
        match events.recv().await {
            Ok(event) => say(event),
            Err(RecvError::Lagged(missed)) => say(format!("({missed} lines left out)")),
            Err(RecvError::Closed) => std::future::pending().await,
        }
        // Only when nothing is left to print: the last line belongs before the table.
        if events.is_empty() && done() {
            return;
        }
    }
}

/// Catches SIGINT and SIGTERM from here on; what it gives ends with the first of them.
fn catch_signals() -> impl Future<Output = ()> {
    let caught = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async {
        // A signal that cannot be caught ends the process, as it does by default.
        let [Ok(mut interrupt), Ok(mut terminate)] = caught else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// What is wrong, without the hints that clap adds below it.
fn in_one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").map(ToOwned::to_owned).unwrap_or(line)
}

fn bad_input(why: &str) -> ExitCode {
    fail(2, why)
}

fn fail(code: u8, why: &str) -> ExitCode {
    // A closed stderr is no reason to fail differently.
    let _ = writeln!(std::io::stderr(), "mock-backend: {why}");
    ExitCode::from(code)
}

/// A line on stdout. Whoever closed it does not want to read; the backend serves on.
fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
