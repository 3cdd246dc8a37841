//! Starts the runner and other programs as child processes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command for `program`.
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the runner; these are programs for developers"
)]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// A command for a runner, without the `RUNNER_*` variables of this process, which are settings.
pub fn runner_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = command(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUNNER_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program and returns its trimmed stdout; `None` if it cannot be started or fails.
pub fn stdout_of(program: impl AsRef<OsStr>, arguments: &[&str]) -> Option<String> {
    let output = command(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Sends SIGTERM to a process.
pub fn terminate(pid: u32) {
    // The standard library can only send SIGKILL; every shell has `kill`.
    command("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status().ok();
}

/// Finds the runner's binary: the given path, or the binary beside this program, which `cargo run` builds first.
///
/// # Errors
/// Returns a message if the build fails or the binary does not exist.
pub fn find_runner(given: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(path) = given {
        return Ok(path);
    }
    let this =
        std::env::current_exe().map_err(|error| format!("cannot find this program itself: {error}"))?;
    let runner = this.with_file_name("runner");
    // `cargo run` sets CARGO. Without a build the binary could be outdated.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = command(cargo);
        build.args(["build", "--quiet", "--package", "ostest-runner", "--bin", "runner"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let status = build.current_dir(root.unwrap_or(Path::new("."))).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("`cargo build --bin runner` failed".to_owned());
        }
    }
    let hint = "build it with `cargo build --bin runner` or give its path with --runner";
    let missing = || format!("no runner beside {}; {hint}", this.display());
    runner.is_file().then_some(runner).ok_or_else(missing)
}
