//! The runners: real processes, started, killed, stopped and watched from outside.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::common::programs::{self, terminate};
use crate::processes;

/// How the runners are to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) program: PathBuf,
    /// The backend's URL.
    pub(crate) backend: String,
    /// The suite's URL.
    pub(crate) suite: String,
    /// The deadline of a task.
    pub(crate) timeout: Duration,
}

/// One runner with a state folder of its own.
#[derive(Debug)]
pub(crate) struct Runner {
    /// 1 or 2.
    pub(crate) number: usize,
    /// Its state folder, and the working folder of all its processes.
    pub(crate) state: PathBuf,
    home: PathBuf,
    log: PathBuf,
    plan: Plan,
    /// Nothing while it is down on purpose.
    child: RefCell<Option<Child>>,
    /// The memory of each process over its time, in KiB, one after the other.
    lives: RefCell<Vec<Vec<u64>>>,
    /// Ends that nobody asked for.
    pub(crate) own_ends: Cell<usize>,
}

impl Runner {
    /// A runner below `folder`, not started yet.
    pub(crate) fn new(folder: &Path, number: usize, plan: Plan) -> Result<Self, String> {
        let state = folder.join(format!("state-{number}"));
        fs::create_dir_all(&state).map_err(|error| format!("cannot make {}: {error}", state.display()))?;
        Ok(Self {
            number,
            state,
            home: folder.to_owned(),
            log: folder.join(format!("runner-{number}.log")),
            plan,
            child: RefCell::default(),
            lives: RefCell::default(),
            own_ends: Cell::new(0),
        })
    }

    /// Starts a process; its log is appended to.
    pub(crate) fn start(&self) -> Result<(), String> {
        let fail = |error| format!("cannot start {}: {error}", self.plan.program.display());
        let log = File::options().create(true).append(true).open(&self.log).map_err(fail)?;
        let mut command = programs::runner(&self.plan.program);
        command
            .env("HOME", &self.home)
            .env("RUNNER_PASSWORD", "dora_explorer")
            .args(["--backend-url", &self.plan.backend, "--tests-url", &self.plan.suite])
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
            .args(["--drain-timeout", "60", "--timeout", &self.plan.timeout.as_secs().to_string()])
            .args(["--logger-level", "debug"])
            .current_dir(&self.state)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(fail)?)
            .stderr(log);
        *self.child.borrow_mut() = Some(command.spawn().map_err(fail)?);
        self.lives.borrow_mut().push(Vec::new());
        Ok(())
    }

    /// `kill -9`; it is gone when this returns.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            // It may have ended by itself, which the next look would have told.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// SIGTERM, and the wait for the end that it asks for. Nothing: it did not end in time, and was killed.
    pub(crate) async fn stop(&self, within: Duration) -> Option<ExitStatus> {
        let mut child = self.child.borrow_mut().take()?;
        terminate(child.id());
        let end = Instant::now() + within;
        while Instant::now() < end {
            if let Ok(Some(status)) = child.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        child.kill().ok();
        child.wait().ok();
        None
    }

    /// Notes the process's memory; one that has ended by itself is counted and started again.
    pub(crate) fn look(&self) -> Result<(), String> {
        let mut child = self.child.borrow_mut();
        let Some(running) = child.as_mut() else { return Ok(()) };
        if running.try_wait().is_ok_and(|ended| ended.is_none()) {
            let memory = processes::memory(running.id());
            if let (Some(memory), Some(life)) = (memory, self.lives.borrow_mut().last_mut()) {
                life.push(memory);
            }
            return Ok(());
        }
        *child = None;
        drop(child);
        self.own_ends.set(self.own_ends.get() + 1);
        self.start()
    }

    /// The fewest descriptors that it holds within a moment in which it has nothing to do; nothing where the kernel
    /// does not let this user see them (the runner hides itself).
    pub(crate) async fn descriptors_at_rest(&self) -> Option<u64> {
        let mut fewest = None;
        for _ in 0..20 {
            let pid = self.child.borrow().as_ref().map(Child::id)?;
            let now = processes::descriptors(pid);
            fewest = fewest.into_iter().chain(now).min();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fewest
    }

    /// The memory of the process that lived longest, in KiB.
    pub(crate) fn longest_life(&self) -> Vec<u64> {
        self.lives.borrow().iter().max_by_key(|life| life.len()).cloned().unwrap_or_default()
    }

    /// How many processes it had.
    pub(crate) fn starts(&self) -> usize {
        self.lives.borrow().len()
    }

    /// What it logged that no runner should ever say.
    pub(crate) fn panics(&self) -> Vec<String> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let bad = |line: &&str| line.contains("panicked at") || line.contains("the worker itself failed");
        log.lines().filter(bad).map(ToOwned::to_owned).collect()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.kill();
    }
}
