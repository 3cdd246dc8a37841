//! A real runner process, with its log at hand when a test fails.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::SYSTEM_PATH;

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_runner");

/// A runner that was started; ended with the test.
pub struct Runner {
    child: Child,
    log: PathBuf,
    line: String,
    folder: PathBuf,
}

/// The program with an environment that no developer's settings reach.
#[expect(clippy::disallowed_methods, reason = "the tests start the runner as people do")]
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("HOME", home).env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    for name in ["PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "SSL_CERT_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A copy of a program that was just made is busy while a child of another test, forked meanwhile, has not yet become
/// its own program.
#[expect(clippy::disallowed_methods, reason = "there is no event to wait for")]
fn spawn(command: &mut Command) -> Child {
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(20));
            }
            spawned => return spawned.unwrap(),
        }
    }
    command.spawn().unwrap()
}

impl Runner {
    /// Starts `runner --backend-url BACKEND` with its state below `folder`.
    pub fn start(folder: &Path, backend: &str, arguments: &[&str]) -> Self {
        Self::with_environment(folder, backend, arguments, &[])
    }

    /// The same, with variables of its environment.
    pub fn with_environment(
        folder: &Path,
        backend: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = command(folder);
        command.envs(environment.iter().copied());
        command
            .args(["--backend-url", backend, "--state-dir"])
            .arg(folder.join("state"))
            .args(["--logger-level", "debug"])
            .args(arguments);
        Self::spawn(folder, command)
    }

    /// Starts the copy of the program in `folder` as `user`, with the system's programs alone: what lies in somebody's
    /// home is not for other users.
    pub fn of_anybody(
        folder: &Path,
        backend: &str,
        arguments: &[&str],
        user: Option<u32>,
        environment: &[(&str, &str)],
    ) -> Self {
        let usual = command(folder);
        #[expect(clippy::disallowed_methods, reason = "the tests start the runner as people do")]
        let mut command = Command::new(folder.join("runner"));
        command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", SYSTEM_PATH).stdin(Stdio::null()).current_dir("/");
        command.envs(environment.iter().copied());
        command.args(["--backend-url", backend, "--logger-level", "debug", "--state-dir"]);
        command.arg(folder.join("state")).args(arguments);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        Self::spawn(folder, command)
    }

    /// Starts a command that stands ready; its log is in `folder`.
    pub fn spawn(folder: &Path, mut command: Command) -> Self {
        let log = folder.join(format!("runner-{}.log", fastrand::u32(..)));
        let open = || fs::File::options().create(true).append(true).open(&log).unwrap();
        command.stdout(open()).stderr(open());
        // Tests read the names and fields of events; see `events`. Arguments and environment may say otherwise.
        if !command.get_envs().any(|(name, _)| name == "RUNNER_LOG_FORMAT") {
            command.env("RUNNER_LOG_FORMAT", "json");
        }
        let (line, folder) = (format!("{command:?}"), folder.to_owned());
        Self { line, folder, child: spawn(&mut command), log }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the runner has not ended\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Runner {
    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}\n--- in {}\n{}\n---", self.line, self.folder.display(), self.log());
        }
    }
}
