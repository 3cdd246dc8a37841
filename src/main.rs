//! The `runner` program: which of its modes this process is, then the command line.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use ostest_runner::{cli, cli::app, cli::password, daemon::init, git};
use sandbox::command;
use sandbox::confine;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // In every mode: a git child, say, holds the login of a repository.
    password::seal();
    // The child modes come first: they must not carry a runtime, a log or settings of their own.
    let words: Vec<&str> = arguments.iter().skip(1).map_while(|word| word.to_str()).collect();
    if let Some(code) = child_mode(&words) {
        return code;
    }
    if let Some(code) = init::split() {
        return code;
    }
    if let Err(error) = password::hide(&arguments) {
        return wrong(&error);
    }
    match cli::parse(arguments) {
        Ok(cli) => app::run(cli).unwrap_or_else(|error| wrong(&format!("{error:#}"))),
        // Help and version are answers, not errors.
        Err(answer) if !answer.use_stderr() => {
            answer.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(error) => wrong(&cli::one_line(&error)),
    }
}

/// Does what the runner's children do, if `words` name one of their modes.
fn child_mode(words: &[&str]) -> Option<ExitCode> {
    match *words {
        [command::supervisor::MODE, ..] => Some(command::supervisor::main()),
        [git::MODE, ..] => Some(git::main()),
        [confine::stage::MODE, ref rest @ ..] => {
            let mode = |word: &str| (word == git::MODE).then_some(git::main as fn() -> ExitCode);
            Some(confine::stage::main(rest.first().copied(), mode))
        }
        _ => None,
    }
}

/// One line for a wrong setting, and the exit code for it.
fn wrong(error: &str) -> ExitCode {
    let error = error.strip_prefix("error: ").unwrap_or(error);
    writeln!(std::io::stderr(), "runner: {error}").ok();
    ExitCode::from(2)
}
