//! The `runner` program: starts one of its child modes, or runs the command line.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use ostest_runner::cli::{self, Exit, dispatch, password};
use ostest_runner::daemon::init;
use ostest_runner::git;
use sandbox::{command, confine};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // In every mode: a git child, for example, holds the login of a repository.
    password::seal_memory();
    // The child modes come first: they have no runtime, no log and no settings of their own.
    let words: Vec<&str> = arguments.iter().skip(1).map_while(|word| word.to_str()).collect();
    if let Some(code) = child_mode(&words) {
        return code;
    }
    if let Some(code) = init::split() {
        return code;
    }
    if let Err(error) = password::hide(&arguments) {
        return fail(&error);
    }
    match cli::parse(arguments) {
        Ok(cli) => dispatch::run(cli).map_or_else(|error| fail(&format!("{error:#}")), ExitCode::from),
        // Help and version are answers, not errors.
        Err(answer) if !answer.use_stderr() => {
            answer.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
        }
        Err(error) => fail(&cli::one_line(&error)),
    }
}

/// Runs the child mode that `words` name, if they name one.
fn child_mode(words: &[&str]) -> Option<ExitCode> {
    match *words {
        [command::supervisor::MODE, ..] => Some(command::supervisor::main()),
        [git::MODE, ..] => Some(git::main()),
        [confine::setup::MODE, ref rest @ ..] => {
            let mode = |word: &str| (word == git::MODE).then_some(git::main as fn() -> ExitCode);
            Some(confine::setup::main(rest.first().copied(), mode))
        }
        _ => None,
    }
}

/// Prints one line about a wrong setting and returns the exit code for it.
fn fail(error: &str) -> ExitCode {
    let error = error.strip_prefix("error: ").unwrap_or(error);
    writeln!(std::io::stderr(), "runner: {error}").ok();
    Exit::Unusable.into()
}
