//! The `runner` program: which of its modes this process is, then the command line.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use ostest_runner::{app, cli, git, init, password, process, sandbox};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // In every mode: a git child, say, holds the login of a repository.
    password::seal();
    // The child modes come first: they must not carry a runtime, a log or settings of their own.
    match arguments.get(1).and_then(|mode| mode.to_str()) {
        Some(process::supervisor::MODE) => return process::supervisor::main(),
        Some(git::MODE) => return git::main(),
        Some(sandbox::stage::MODE) => {
            return sandbox::stage::main(arguments.get(2).and_then(|fd| fd.to_str()));
        }
        _ => {}
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

/// One line for a wrong setting, and the exit code for it.
fn wrong(error: &str) -> ExitCode {
    let error = error.strip_prefix("error: ").unwrap_or(error);
    writeln!(std::io::stderr(), "runner: {error}").ok();
    ExitCode::from(2)
}
