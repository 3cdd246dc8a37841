//! Git repositories on this machine, made by git itself.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::programs::command;

/// The URL of a repository on this machine.
pub(crate) fn url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// A repository with these files (path, text), committed to `main`.
pub(crate) fn repository(folder: &Path, files: &[(&str, &str)]) -> Result<(), String> {
    let fail = |error| format!("cannot write to {}: {error}", folder.display());
    for (file, text) in files {
        let file = folder.join(file);
        fs::create_dir_all(file.parent().unwrap_or(folder)).map_err(fail)?;
        fs::write(file, text).map_err(fail)?;
    }
    git(folder, &["init", "--quiet"])?;
    git(folder, &["symbolic-ref", "HEAD", "refs/heads/main"])?;
    git(folder, &["add", "."])?;
    git(
        folder,
        &["-c", "user.name=soak", "-c", "user.email=soak@example.org", "commit", "--quiet", "-m", "soak"],
    )
}

fn git(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = command("git");
    // No hooks, signatures or templates of the person who runs this.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let status = command.args(arguments).current_dir(folder).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("git {} ended with {status}", arguments.join(" "))),
        Err(error) => Err(format!("git cannot be started ({error}); install it with: apt-get install git")),
    }
}
