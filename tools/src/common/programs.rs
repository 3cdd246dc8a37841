//! Programs that are started as people start them, the runner first of all.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A command for `program`.
#[expect(clippy::disallowed_methods, reason = "a program for people; the rule is for what the runner starts")]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// The same for a runner: the settings of the person who runs this are not its settings.
pub(crate) fn runner(program: &Path) -> Command {
    let mut command = command(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUNNER_") {
            command.env_remove(name);
        }
    }
    command
}

/// Sends SIGTERM.
pub(crate) fn terminate(pid: u32) {
    // The standard library sends no signal but SIGKILL; every shell does.
    command("sh").args(["-c", "kill -TERM \"$0\"", &pid.to_string()]).status().ok();
}

/// The runner's binary: the one that was named, or the one beside this program, which `cargo run` makes new first.
pub(crate) fn find_runner(named: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return Ok(path);
    }
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program itself: {error}"))?;
    let beside = own.with_file_name("runner");
    // Set by `cargo run` only: without a build an old binary would be tried.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = command(cargo);
        build.args(["build", "--quiet", "--package", "ostest-runner", "--bin", "runner"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let status = build.current_dir(root.unwrap_or(Path::new("."))).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("cargo build --bin runner has failed".to_owned());
        }
    }
    let hint = "build it (cargo build --bin runner) or name it with --runner";
    beside
        .is_file()
        .then_some(beside)
        .ok_or_else(|| format!("there is no runner beside {}; {hint}", own.display()))
}
