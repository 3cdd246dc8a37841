//! Local Git repositories, created with the `git` program.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::programs::command;

/// The `file://` URL of a local repository.
pub fn file_url(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// Creates a repository with these files (path, text) in one commit on the branch `main`.
///
/// # Errors
/// Returns a message if a file cannot be written or `git` fails.
pub fn create_repository(folder: &Path, files: &[(&str, &str)]) -> Result<(), String> {
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
        &["-c", "user.name=tools", "-c", "user.email=tools@example.org", "commit", "--quiet", "-m", "test"],
    )
}

fn git(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = command("git");
    // Ignores the user's hooks, signatures and templates.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let status = command.args(arguments).current_dir(folder).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("git {} failed: {status}", arguments.join(" "))),
        Err(error) => Err(format!("cannot start git ({error}); install it with: apt-get install git")),
    }
}
