//! A runner that is measured: the real binary, as people start it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mock_backend::MockBackend;
use tokio::time::sleep;

use crate::common::programs::{runner, terminate};
use crate::world::{PATIENCE, World};

/// How a runner is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    /// The state folder's name.
    pub(crate) state: &'a str,
    /// `--sandbox`
    pub(crate) sandbox: &'a str,
    /// `--concurrent`
    pub(crate) workers: usize,
    /// `--check-interval`
    pub(crate) interval: &'a str,
    /// `--logger-level`
    pub(crate) log: &'a str,
    /// `--tests-url`, where it is not the trivial one.
    pub(crate) suite: Option<&'a str>,
    /// The file for its system calls, where they are to be followed.
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

/// A runner that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    /// Its state folder.
    pub(crate) state: PathBuf,
    /// When it was started.
    pub(crate) started: Instant,
}

impl Daemon {
    /// Starts one that asks `backend`.
    pub(crate) fn start(world: &World, backend: &MockBackend, options: Options<'_>) -> Result<Self, String> {
        let fail = |error| format!("cannot start {}: {error}", world.program.display());
        let (state, log) = (world.at(options.state), world.at(format!("{}.log", options.state)));
        let out = File::create(&log).map_err(fail)?;
        let mut command = match options.trace {
            None => runner(&world.program),
            Some(file) => {
                // The tracer is a grandchild (-D): the child is the runner itself.
                let mut strace = runner(std::path::Path::new("strace"));
                let calls = "trace=fsync,fdatasync,sync,syncfs,execve,execveat,clone,clone3,fork,vfork";
                strace.args(["-D", "-f", "-qq", "-ttt", "--seccomp-bpf", "-e", calls, "-o"]);
                strace.arg(world.at(file)).arg(&world.program);
                strace
            }
        };
        command
            .env("HOME", world.at(""))
            .args(["--backend-url", &backend.url(), "--tests-url", options.suite.unwrap_or(&world.suite())])
            .arg("--state-dir")
            .arg(&state)
            .args(["--sandbox", options.sandbox, "--concurrent", &options.workers.to_string()])
            .args(["--check-interval", options.interval, "--logger-level", options.log])
            .args(["--allow-local-repositories", "--drain-timeout", "20"])
            // What is counted is a task, not a look at the suite that falls into it by chance.
            .args(options.trace.map_or(&[][..], |_| &["--suite-max-age", "1h"]))
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(fail)?)
            .stderr(out);
        let started = Instant::now();
        let child = command.spawn().map_err(fail)?;
        Ok(Self { child, log, state, started })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Which confinement it found: the level of `--sandbox auto` here.
    pub(crate) fn level(&self) -> String {
        let log = self.log();
        let level = log.lines().find_map(|line| line.split_once("sandbox level=\"")?.1.split('"').next());
        level.unwrap_or("none").to_owned()
    }

    /// Waits for its first question; says how long after its start that came.
    pub(crate) async fn first_poll(&self, backend: &MockBackend) -> Result<Duration, String> {
        let asked =
            backend.wait_for_requests("the first question", PATIENCE, |requests| !requests.is_empty()).await;
        let asked = asked.map_err(|error| format!("{error}\n{}", self.log()))?;
        let first = asked.first().map_or_else(Instant::now, |request| request.at);
        Ok(first.duration_since(self.started))
    }

    /// Has it stop as an administrator does; it must leave with code 0.
    pub(crate) async fn stop(mut self) -> Result<(), String> {
        terminate(self.pid());
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the runner ended with {status}:\n{}", self.log())),
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
        Err(format!("the runner did not stop within {PATIENCE:?}:\n{}", self.log()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
