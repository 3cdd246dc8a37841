//! The git child: reads one request, performs it in one thread, writes one answer.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use super::error::{Failure, Kind};
use super::protocol::{Answer, Request};
use super::setup::{self, Environment};
use super::{checkout, mirror};

/// Runs the git child on stdin and stdout.
pub fn main() -> ExitCode {
    child_main(std::io::stdin(), std::io::stdout())
}

/// Reads one [`Request`] as JSON, performs it and writes one [`Answer`] as JSON. The exit code is 0 if an answer was
/// written, also if that answer is a failure.
pub fn child_main(stdin: impl Read, stdout: impl Write) -> ExitCode {
    // A panic becomes an answer; its message on stderr would be a duplicate.
    std::panic::set_hook(Box::new(|_| {}));
    match serve(stdin, stdout, setup::limit_memory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// [`child_main`] with an exchangeable memory limit, for tests in a process that has other work.
pub(super) fn serve(
    mut stdin: impl Read,
    mut stdout: impl Write,
    limit_memory: impl FnOnce(u64),
) -> std::io::Result<()> {
    let mut text = String::new();
    let request = stdin
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())
        .and_then(|_| serde_json::from_str::<Request>(&text).map_err(|error| error.to_string()));
    let answer = match request {
        Ok(request) => {
            limit_memory(request.limits().bytes);
            perform(&request, Environment::of_process())
        }
        Err(error) => {
            Answer::Failed(Failure::new(Kind::Other, format!("cannot read the request to git: {error}")))
        }
    };
    stdout.write_all(&serde_json::to_vec(&answer)?)?;
    stdout.flush()
}

/// Performs `request` in this process. Blocks; only the child, tests and benchmarks call it.
pub fn perform(request: &Request, environment: Environment) -> Answer {
    static SWITCHES: std::sync::Once = std::sync::Once::new();
    SWITCHES.call_once(setup::switches);
    let result = catch_unwind(AssertUnwindSafe(|| match request {
        Request::Checkout(request) => checkout::perform(request, environment).map(Answer::CheckedOut),
        Request::Mirror(request) => mirror::perform(request, environment).map(Answer::Mirrored),
    }));
    match result {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => Answer::Failed(failure),
        Err(panic) => {
            let message = panic.downcast_ref::<String>().map(String::as_str);
            let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Answer::Failed(Failure::new(Kind::Damaged, format!("git crashed on this repository: {message}")))
        }
    }
}
