//! The `mock-backend` program: a stand-in for the OSTEST backend with tasks and faults from the command line.
//! Prints a line when it listens and a line for each event. Exit codes: 0 stopped by a signal or, with
//! `--exit-when-done`, all tasks have results; 1 cannot listen; 2 invalid input.

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
        // `--help` and `--version`.
        Err(message) if !message.use_stderr() => {
            print_line(message.render().to_string().trim_end());
            return ExitCode::SUCCESS;
        }
        Err(error) => return invalid_input(&first_paragraph(&error.to_string())),
    };
    match prepare(&cli) {
        Ok((tasks, faults)) => run(&cli, tasks, faults).await,
        Err(message) => invalid_input(&message),
    }
}

/// Reads and validates the input before anything starts.
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
        Err(cause @ StartError::Path(_)) => return invalid_input(&cause.to_string()),
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
    let stopped = stop_signal();
    print_line(format!("mock-backend listens on {}", backend.url()));
    if count > 0 {
        print_line(format!("{count} tasks pending"));
    }
    let done = || cli.exit_when_done && backend.unanswered() == 0;
    tokio::select! {
        () = stopped => {}
        () = print_events(events, done) => print_line(backend.table().trim_end()),
    }
    backend.shutdown().await;
    ExitCode::SUCCESS
}

/// Prints the events until `done` returns true.
async fn print_events(mut events: broadcast::Receiver<mock_backend::Event>, done: impl Fn() -> bool) {
    loop {
        match events.recv().await {
            Ok(event) => print_line(event),
            Err(RecvError::Lagged(missed)) => print_line(format!("({missed} lines omitted)")),
            Err(RecvError::Closed) => std::future::pending().await,
        }
        // Checked only with an empty queue: all events are printed before the table.
        if events.is_empty() && done() {
            return;
        }
    }
}

/// Installs handlers for SIGINT and SIGTERM at once. The returned future completes with the first signal.
fn stop_signal() -> impl Future<Output = ()> {
    let handlers = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async {
        // Without a handler the signal terminates the process by default.
        let [Ok(mut interrupt), Ok(mut terminate)] = handlers else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// The error message of clap in one line, without the hints below it.
fn first_paragraph(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").map(ToOwned::to_owned).unwrap_or(line)
}

fn invalid_input(message: &str) -> ExitCode {
    fail(2, message)
}

fn fail(code: u8, message: &str) -> ExitCode {
    // A closed stderr must not change the exit code.
    let _ = writeln!(std::io::stderr(), "mock-backend: {message}");
    ExitCode::from(code)
}

/// Prints a line to stdout. Ignores a closed stdout: the backend keeps serving.
fn print_line(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
