//! A measured runner: the real binary as a child process.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mock_backend::MockBackend;
use tokio::time::sleep;
use tools::log::LogLine;
use tools::programs::{runner_command, terminate};

use crate::world::{TIMEOUT, World};

/// Options of a runner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    /// Name of the state folder.
    pub(crate) state: &'a str,
    /// `--sandbox`
    pub(crate) sandbox: &'a str,
    /// `--concurrent`
    pub(crate) workers: usize,
    /// `--check-interval`
    pub(crate) interval: &'a str,
    /// `--logger-level`
    pub(crate) log: &'a str,
    /// `--tests-url`; by default the trivial suite.
    pub(crate) suite: Option<&'a str>,
    /// Name of the file for `strace` to write the system calls to.
    pub(crate) trace: Option<&'a str>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            state: "state",
            sandbox: "none",
            workers: 1,
            interval: "100ms",
            log: "info",
            suite: None,
            trace: None,
        }
    }
}

/// A running runner. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    /// The state folder.
    pub(crate) state: PathBuf,
    started: Instant,
}

impl Daemon {
    /// Starts a runner for `backend`.
    ///
    /// # Errors
    /// Returns a message if the log cannot be created or the process cannot be started.
    pub(crate) fn start(world: &World, backend: &MockBackend, options: Options<'_>) -> Result<Self, String> {
        let fail = |error| format!("cannot start {}: {error}", world.program.display());
        let (state, log) = (world.path(options.state), world.path(format!("{}.log", options.state)));
        let out = File::create(&log).map_err(fail)?;
        let mut command = match options.trace {
            None => runner_command(&world.program),
            Some(file) => {
                // With -D the tracer is a grandchild, so that the child is the runner itself.
                let mut strace = runner_command("strace");
                let calls = "trace=fsync,fdatasync,sync,syncfs,execve,execveat,clone,clone3,fork,vfork";
                strace.args(["-D", "-f", "-qq", "-ttt", "--seccomp-bpf", "-e", calls, "-o"]);
                strace.arg(world.path(file)).arg(&world.program);
                strace
            }
        };
        let suite = options.suite.map_or_else(|| world.suite_url(), ToOwned::to_owned);
        command
            .env("HOME", world.path(""))
            .args(["--backend-url", &backend.url(), "--tests-url", &suite])
            .arg("--state-dir")
            .arg(&state)
            .args(["--sandbox", options.sandbox, "--concurrent", &options.workers.to_string()])
            .args(["--check-interval", options.interval, "--logger-level", options.log])
            .args(["--log-format", "json"])
            .args(["--allow-local-repositories", "--drain-timeout", "20"])
            // A trace must not include a check of the suite's remote, which happens only for some tasks.
            .args(options.trace.map_or(&[][..], |_| &["--suite-max-age", "1h"]))
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(fail)?)
            .stderr(out);
        let started = Instant::now();
        let child = command.spawn().map_err(fail)?;
        Ok(Self { child, log, state, started })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The sandbox level from the log, which `--sandbox auto` has chosen.
    pub(crate) fn level(&self) -> String {
        let lines = LogLine::parse_all(&self.log());
        let level = lines.into_iter().find(|line| line.is("sandbox_chosen")).and_then(|line| line.level);
        level.unwrap_or_else(|| "none".to_owned())
    }

    /// Waits for the first request and returns the time from the start to it.
    ///
    /// # Errors
    /// Returns a message with the log after [`TIMEOUT`].
    pub(crate) async fn first_poll(&self, backend: &MockBackend) -> Result<Duration, String> {
        let requests =
            backend.wait_for_requests("the first request", TIMEOUT, |requests| !requests.is_empty()).await;
        let requests = requests.map_err(|error| format!("{error}\n{}", self.log()))?;
        let first = requests.first().map_or_else(Instant::now, |request| request.at);
        Ok(first.duration_since(self.started))
    }

    /// Stops the runner with SIGTERM.
    ///
    /// # Errors
    /// Returns a message with the log if the exit code is not 0, or after [`TIMEOUT`].
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        terminate(self.pid());
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the runner failed with {status}:\n{}", self.log())),
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
        Err(format!("the runner did not stop within {TIMEOUT:?}:\n{}", self.log()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails if the process has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
