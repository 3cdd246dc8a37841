//! A command that has ended. Where a test fails, it shows the command, the folder and the output.

use std::path::Path;
use std::process::Command;

/// What one command of the runner did.
pub struct Ran {
    command: String,
    folder: String,
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let folder = command.get_current_dir().map(Path::to_owned).or_else(|| std::env::current_dir().ok());
        Self {
            command: format!("{command:?}"),
            folder: folder.unwrap_or_default().display().to_string(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, beside the other futures of the test's thread, such as its backend.
    pub async fn beside(mut command: Command) -> Self {
        tokio::task::spawn_blocking(move || Self::of(&mut command)).await.unwrap()
    }

    /// Fails the test unless the command ended with `code`.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code");
        self
    }

    /// Fails the test unless the command wrote one line to standard error, which names each of `names`: settings, files,
    /// values. Not the sentence around them.
    #[track_caller]
    pub fn names(self, names: &[&str]) -> Self {
        assert_eq!(self.stderr.lines().count(), 1, "lines on standard error");
        for name in names {
            assert!(self.stderr.contains(name), "standard error does not name {name:?}");
        }
        self
    }

    /// Both outputs.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Drop for Ran {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { command, folder, code, stdout, stderr } = self;
            eprintln!(
                "--- {command}\n--- in {folder}\n--- exit code {code:?}\n--- standard output\n{stdout}\n--- standard error\n{stderr}\n---"
            );
        }
    }
}
