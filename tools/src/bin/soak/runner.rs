//! A real runner process with its own state folder: started, killed, stopped and observed from outside.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tools::log::LogLine;
use tools::proc;
use tools::programs::{runner_command, terminate};

/// Options of a runner.
#[derive(Debug)]
pub(crate) struct RunnerOptions {
    /// The program.
    pub(crate) program: PathBuf,
    /// URL of the backend.
    pub(crate) backend: String,
    /// URL of the suite.
    pub(crate) suite: String,
    /// Timeout of a task.
    pub(crate) timeout: Duration,
}

/// A runner, which has several processes one after the other. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Runner {
    /// 1 or 2.
    pub(crate) number: usize,
    /// The state folder, which is also the working folder of the process.
    pub(crate) state: PathBuf,
    home: PathBuf,
    log: PathBuf,
    options: RunnerOptions,
    /// `None` while the runner is down on purpose.
    child: RefCell<Option<Child>>,
    /// Memory samples in KiB of each process.
    memory_samples: RefCell<Vec<Vec<u64>>>,
    /// Number of exits that the soak did not cause.
    pub(crate) unexpected_exits: Cell<usize>,
}

impl Runner {
    /// Creates the state folder below `folder`. Does not start a process.
    ///
    /// # Errors
    /// Returns a message if the folder cannot be created.
    pub(crate) fn new(folder: &Path, number: usize, options: RunnerOptions) -> Result<Self, String> {
        let state = folder.join(format!("state-{number}"));
        fs::create_dir_all(&state).map_err(|error| format!("cannot create {}: {error}", state.display()))?;
        Ok(Self {
            number,
            state,
            home: folder.to_owned(),
            log: folder.join(format!("runner-{number}.log")),
            options,
            child: RefCell::default(),
            memory_samples: RefCell::default(),
            unexpected_exits: Cell::new(0),
        })
    }

    /// Starts a process, which appends to the log.
    ///
    /// # Errors
    /// Returns a message if the log cannot be opened or the process cannot be started.
    pub(crate) fn start(&self) -> Result<(), String> {
        let fail = |error| format!("cannot start {}: {error}", self.options.program.display());
        let log = File::options().create(true).append(true).open(&self.log).map_err(fail)?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(fail)?).stderr(log);
        *self.child.borrow_mut() = Some(command.spawn().map_err(fail)?);
        self.memory_samples.borrow_mut().push(Vec::new());
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = runner_command(&self.options.program);
        command
            .env("HOME", &self.home)
            .env("RUNNER_PASSWORD", "dora_explorer")
            .args(["--backend-url", &self.options.backend, "--tests-url", &self.options.suite])
            .arg("--state-dir")
            .arg(&self.state)
            .args(["--auth", "--allow-local-repositories", "--concurrent", "3", "--check-interval", "200ms"])
            .args([
                "--grace",
                "500ms",
                "--claim-timeout",
                "5",
                "--request-timeout",
                "5",
                "--refresh-time",
                "2",
            ])
            .args(["--drain-timeout", "60", "--timeout", &self.options.timeout.as_secs().to_string()])
            .args(["--logger-level", "debug", "--log-format", "json"])
            .current_dir(&self.state);
        command
    }

    /// Kills the process with SIGKILL and waits for its end.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            // Fails if the process has ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Sends SIGTERM and waits for the exit. Kills the process and returns `None` if it does not exit `within` this time.
    pub(crate) async fn stop(&self, within: Duration) -> Option<ExitStatus> {
        let mut child = self.child.borrow_mut().take()?;
        terminate(child.id());
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child.kill().ok();
        child.wait().ok();
        None
    }

    /// Samples the memory of the process. Counts an unexpected exit and restarts the process.
    ///
    /// # Errors
    /// Returns a message if the process cannot be restarted.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut child = self.child.borrow_mut();
        let Some(process) = child.as_mut() else { return Ok(()) };
        if process.try_wait().is_ok_and(|exit| exit.is_none()) {
            let memory = proc::status_number(process.id(), "VmRSS");
            if let (Some(memory), Some(samples)) = (memory, self.memory_samples.borrow_mut().last_mut()) {
                samples.push(memory);
            }
            return Ok(());
        }
        *child = None;
        drop(child);
        self.unexpected_exits.set(self.unexpected_exits.get() + 1);
        self.start()
    }

    /// The minimum number of open descriptors within a second. `None` if they are hidden from this user.
    pub(crate) async fn idle_descriptors(&self) -> Option<u64> {
        let mut minimum = None;
        for _ in 0..20 {
            let pid = self.child.borrow().as_ref().map(Child::id)?;
            minimum = minimum.into_iter().chain(proc::open_descriptors(pid)).min();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        minimum
    }

    /// The memory samples in KiB of the longest-lived process.
    pub(crate) fn longest_memory_samples(&self) -> Vec<u64> {
        let processes = self.memory_samples.borrow();
        processes.iter().max_by_key(|samples| samples.len()).cloned().unwrap_or_default()
    }

    /// Number of started processes.
    pub(crate) fn starts(&self) -> usize {
        self.memory_samples.borrow().len()
    }

    /// The log lines that report a bug in the runner.
    pub(crate) fn panics(&self) -> Vec<String> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let is_bug = |line: &&str| {
            line.contains("panicked at")
                || LogLine::parse_all(line).iter().any(|line| line.is("worker_failed"))
        };
        log.lines().filter(is_bug).map(ToOwned::to_owned).collect()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.kill();
    }
}
