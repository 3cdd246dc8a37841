//! A runner whose settings come from a file that the test rewrites.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mock_backend::{Endpoint, Settings, Status, TaskId};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{PASS, Runner, World, command, eventually};

/// A world whose runner reads its settings from a file.
pub struct Reloading {
    pub world: World,
    /// The settings file.
    pub file: PathBuf,
    /// The fixed lines at the start of the settings file.
    pub lines: String,
    /// Number of reloads so far.
    pub reloads: usize,
}

impl Reloading {
    /// Starts a runner whose settings file has the fixed lines and `settings`. Waits until it polls.
    pub async fn with(settings: &str) -> Self {
        let mut world = World::with(Settings::default(), &[]).await;
        world.runner.kill();
        let folder = world.folder().to_owned();
        let lines = format!(
            "backend_url = \"{}\"\nstate_dir = \"{1}/state\"\ntests_url = \"file://{1}/suite\"\nsandbox = \"none\"\nallow_local_repositories = true\n",
            world.backend.url(),
            folder.display(),
        );
        let file = folder.join("runner.toml");
        fs::write(&file, format!("{lines}{settings}")).unwrap();
        let mut command = command(&folder);
        command.arg("--config").arg(&file);
        world.runner = Runner::spawn(&folder, command);
        let reloading = Self { world, file, lines, reloads: 0 };
        eventually("the runner polls", || reloading.claims() > 0).await;
        reloading
    }

    pub fn log(&self) -> String {
        self.world.runner.log()
    }

    pub fn events(&self, name: &str) -> Vec<Value> {
        self.world.runner.events(name)
    }

    /// The fields `changed` and `needs_restart` of the last reload.
    pub fn last_changes(&self) -> (Option<String>, Option<String>) {
        let event = self.events("reloaded").pop().unwrap();
        let field = |name: &str| event[name].as_str().map(str::to_owned);
        (field("changed"), field("needs_restart"))
    }

    /// Whether the log has a line of this level.
    pub fn has_level(&self, level: &str) -> bool {
        self.log().contains(&format!(r#""level":"{level}""#))
    }

    /// Number of requests for a task.
    pub fn claims(&self) -> usize {
        let requests = self.world.backend.requests();
        requests.iter().filter(|request| request.endpoint == Some(Endpoint::Claim)).count()
    }

    /// Writes new settings, sends SIGHUP, and waits until the reload is logged.
    pub async fn reload(&mut self, settings: &str) {
        self.write_and_hang_up(settings);
        self.reloads += 1;
        let reloads = self.reloads;
        eventually("the reload is logged", || self.events("reloaded").len() == reloads).await;
    }

    /// Writes new settings and sends SIGHUP.
    pub fn write_and_hang_up(&self, settings: &str) {
        fs::write(&self.file, format!("{}{settings}", self.lines)).unwrap();
        self.world.runner.signal(Signal::SIGHUP);
    }

    /// Submits a task that runs until its gate file exists.
    pub fn submit_gated(&self) -> (TaskId, PathBuf) {
        let gate = self.world.fresh("gate");
        (self.world.submit(&format!("while [ ! -e {} ]; do sleep 0.05; done; {PASS}", gate.display())), gate)
    }

    /// Number of tasks that are claimed or answered.
    pub fn claimed_tasks(&self) -> usize {
        self.world.backend.attempts().iter().filter(|attempt| attempt.status != Status::Pending).count()
    }

    /// Waits until `number` tasks are claimed. Fails the test if the runner claims more.
    pub async fn assert_claimed(&self, number: usize) {
        eventually(&format!("{number} tasks are claimed\n{}", self.log()), || self.claimed_tasks() == number)
            .await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(self.claimed_tasks(), number, "more tasks are claimed than there are slots");
    }
}
