//! SIGHUP: what changes while the runner runs, what needs a restart, and what a wrong file does.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind, Settings, Status, TaskId};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::observing::{address, get, value};
use crate::support::{PASS, Runner, World, command, eventually};

/// A world whose runner has its settings from a file.
struct Reloading {
    world: World,
    file: PathBuf,
    lines: String,
    reloads: usize,
}

impl Reloading {
    async fn with(settings: &str) -> Self {
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
        eventually("it asks", || reloading.claims() > 0).await;
        reloading
    }

    fn log(&self) -> String {
        self.world.runner.log()
    }

    fn events(&self, name: &str) -> Vec<Value> {
        self.world.runner.events(name)
    }

    /// What the last reload says has changed, and what it says needs a restart.
    fn last(&self) -> (Option<String>, Option<String>) {
        let event = self.events("reloaded").pop().unwrap();
        let field = |name: &str| event[name].as_str().map(str::to_owned);
        (field("changed"), field("needs_restart"))
    }

    /// Whether a line of the log has this level.
    fn has_level(&self, level: &str) -> bool {
        self.log().contains(&format!(r#""level":"{level}""#))
    }

    fn claims(&self) -> usize {
        let requests = self.world.backend.requests();
        requests.iter().filter(|request| request.endpoint == Some(Endpoint::Claim)).count()
    }

    /// Writes other settings and has them read; waits until that is said.
    async fn reload(&mut self, settings: &str) {
        self.write_and_hang_up(settings);
        self.reloads += 1;
        let reloads = self.reloads;
        eventually("it is read", || self.events("reloaded").len() == reloads).await;
    }

    fn write_and_hang_up(&self, settings: &str) {
        fs::write(&self.file, format!("{}{settings}", self.lines)).unwrap();
        self.world.runner.signal(Signal::SIGHUP);
    }

    /// Hands in a task that runs until it is let go.
    fn gated(&self) -> (TaskId, PathBuf) {
        let gate = self.world.fresh("gate");
        (self.world.submit(&format!("while [ ! -e {} ]; do sleep 0.05; done; {PASS}", gate.display())), gate)
    }

    /// Tasks that are with the runner or answered.
    fn taken(&self) -> usize {
        self.world.backend.attempts().iter().filter(|attempt| attempt.status != Status::Pending).count()
    }

    async fn takes(&self, number: usize) {
        eventually(&format!("{number} are taken\n{}", self.log()), || self.taken() == number).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(self.taken(), number, "more are taken than there are slots");
    }
}

#[tokio::test]
async fn slot_count_changes_while_running() {
    let mut runner = Reloading::with("check_interval = 0.05\nconcurrent = 1\n").await;
    let tasks: Vec<_> = (0..6).map(|_| runner.gated()).collect();
    runner.takes(1).await;
    runner.reload("check_interval = 0.05\nconcurrent = 3\n").await;
    assert_eq!(runner.last().0.as_deref(), Some("concurrent 1 -> 3"));
    runner.takes(3).await;
    runner.reload("check_interval = 0.05\nconcurrent = 1\n").await;
    for (id, gate) in &tasks[..2] {
        fs::write(gate, "").unwrap();
        assert_eq!(runner.world.answer(id).await["isPassed"], true, "what runs is not disturbed");
        runner.takes(3).await;
    }
    fs::write(&tasks[2].1, "").unwrap();
    runner.takes(4).await;
    for (id, gate) in &tasks {
        fs::write(gate, "").unwrap();
        assert_eq!(runner.world.answer(id).await["isPassed"], true);
    }
    runner.world.assert_clean();
}

#[tokio::test]
async fn log_level_changes_in_both_directions() {
    let mut runner = Reloading::with("check_interval = 0.05\nlogger_level = \"error\"\n").await;
    assert_eq!(runner.log(), "", "nothing went wrong");
    runner.reload("check_interval = 0.05\nlogger_level = \"info\"\n").await;
    assert_eq!(runner.last().0.as_deref(), Some("logger_level error -> info"));
    runner.world.answer(&runner.world.submit(PASS)).await;
    eventually("a task's end is said", || runner.world.runner.logged("task_ended")).await;
    assert!(!runner.has_level("debug"));
    runner.reload("check_interval = 0.05\nlogger_level = \"debug\"\n").await;
    runner.world.answer(&runner.world.submit(PASS)).await;
    eventually("everything is said", || runner.has_level("debug")).await;
    runner.reload("check_interval = 0.05\nlogger_level = \"critical\"\n").await;
    let said = runner.log();
    assert_eq!(runner.last().0.as_deref(), Some("logger_level debug -> critical"));
    runner.world.answer(&runner.world.submit(PASS)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(runner.log(), said);
}

#[tokio::test]
async fn wrong_file_changes_nothing() {
    let mut runner = Reloading::with("check_interval = 0.05\nconcurrent = 1\n").await;
    let before = runner.log().lines().count();
    runner.write_and_hang_up("check_interval = 60\nlogger_level = \"debug\"\nconcurrent = 0\n");
    eventually("it is said", || runner.world.runner.logged("reload_failed")).await;
    assert_eq!(runner.log().lines().count(), before + 1);
    let [failed] = runner.events("reload_failed").try_into().unwrap();
    assert_eq!(failed["level"], "error");
    let place = format!("{}:8: concurrent: ", runner.file.display());
    assert!(failed["error"].as_str().unwrap().contains(&place), "{failed}");
    let claims = runner.claims();
    eventually("it asks as before", || runner.claims() > claims + 5).await;
    let tasks = [runner.gated(), runner.gated()];
    runner.takes(1).await;
    fs::remove_file(&runner.file).unwrap();
    runner.world.runner.signal(Signal::SIGHUP);
    eventually("that too", || runner.events("reload_failed").len() == 2).await;
    for (id, gate) in &tasks {
        fs::write(gate, "").unwrap();
        runner.world.answer(id).await;
    }
    assert!(!runner.has_level("debug"));
    runner.reload("check_interval = 0.05\nconcurrent = 1\n").await;
    assert_eq!(runner.last(), (None, None));
}

#[tokio::test]
async fn new_interval_applies_at_once() {
    let mut runner = Reloading::with("check_interval = 300\n").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(runner.claims(), 1);
    runner.reload("check_interval = 0.05\n").await;
    eventually("it asks often", || runner.claims() > 5).await;
    runner.reload("check_interval = 300\n").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let claims = runner.claims();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(runner.claims() <= claims + 1);
}

#[tokio::test]
async fn new_timeout_applies_to_new_tasks() {
    let mut runner = Reloading::with("check_interval = 0.05\ntimeout = \"10m\"\ngrace = 1\n").await;
    let (old, gate) = runner.gated();
    runner.takes(1).await;
    runner.reload("check_interval = 0.05\ntimeout = 1\ngrace = 1\n").await;
    let (new, _) = runner.gated();
    let answer = runner.world.answer(&new).await;
    assert_eq!(runner.world.fault(&new), "execute/limit", "{answer}");
    fs::write(gate, "").unwrap();
    assert_eq!(runner.world.answer(&old).await["isPassed"], true);
}

#[tokio::test]
async fn drain_timeout_can_be_shortened() {
    let mut runner = Reloading::with("check_interval = 0.05\ndrain_timeout = 0\ngrace = 1\n").await;
    let (id, _) = runner.gated();
    runner.takes(1).await;
    runner.world.runner.signal(Signal::SIGTERM);
    eventually("it drains", || runner.world.runner.logged("draining")).await;
    runner.reload("check_interval = 0.05\ndrain_timeout = 0.2\ngrace = 1\n").await;
    assert!(runner.world.runner.ended(Duration::from_secs(10)).await.success());
    let answer = runner.world.answer(&id).await;
    assert!(runner.world.fault(&id).ends_with("/interruption"), "{answer}");
}

#[tokio::test]
async fn new_request_timeouts_apply() {
    let mut runner = Reloading::with("check_interval = 0.05\n").await;
    runner.reload("check_interval = 0.05\nclaim_timeout = 0.3\nrequest_timeout = 0.4\n").await;
    let fault = |endpoint| Fault::new(endpoint, FaultKind::Delay(Duration::from_secs(8)));
    runner.world.backend.fault(fault(Endpoint::Claim));
    let started = Instant::now();
    eventually("the claim is given up", || {
        runner.world.runner.logged("claim_failed") || runner.world.runner.logged("claim_possibly_lost")
    })
    .await;
    // On a busy machine a claim may take longer than that, and its task would be lost.
    runner.reload("check_interval = 0.05\nclaim_timeout = 9\nrequest_timeout = 0.4\n").await;
    runner.world.backend.fault(fault(Endpoint::Result));
    runner.world.submit(PASS);
    eventually("the post is tried again", || runner.world.runner.logged("delivery_retried")).await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn names_settings_that_need_restart() {
    let mut runner = Reloading::with("check_interval = 0.05\n").await;
    let changed = "check_interval = 0.1\nmemory = \"256M\"\nlogin = \"other\"\npassword = \"word\"\n";
    fs::set_permissions(&runner.file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    runner.reload(changed).await;
    let restart = Some("login, password, memory".to_owned());
    assert_eq!(runner.last(), (Some("check_interval 0.05 -> 0.1".to_owned()), restart.clone()));
    let log = runner.log();
    assert!(!log.contains("word\\\"") && !log.contains(" word"), "{log}");
    runner.reload(changed).await;
    assert_eq!(runner.last(), (None, restart));
    runner.reload("check_interval = 0.1\n").await;
    assert_eq!(runner.last(), (None, None));
}

#[tokio::test]
async fn metrics_follow_reload() {
    let mut runner =
        Reloading::with("check_interval = 0.05\nconcurrent = 1\nlisten = \"127.0.0.1:0\"\n").await;
    let address = address(&runner.world.runner).await;
    let slots = async || value(&get(address, "/metrics").await.1, "ostest_runner_slots");
    assert!((slots().await - 1.0).abs() < 0.1);
    let (id, gate) = runner.gated();
    runner.takes(1).await;
    // While the loop waits for a slot, and while it has one.
    for (concurrent, taken) in [(1, 1.0), (3, 3.0), (2, 2.0)] {
        let listen = "listen = \"127.0.0.1:1\"";
        runner.reload(&format!("check_interval = 0.05\nconcurrent = {concurrent}\n{listen}\n")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!((slots().await - taken).abs() < 0.1, "{concurrent}");
    }
    assert_eq!(runner.last().1.as_deref(), Some("listen"));
    fs::write(gate, "").unwrap();
    assert_eq!(runner.world.answer(&id).await["isPassed"], true);
    assert_eq!(get(address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn log_level_changes_in_json_too() {
    let start = "check_interval = 0.05\nlog_format = \"json\"\nlogger_level = ";
    let mut runner = Reloading::with(&format!("{start}\"error\"\n")).await;
    assert_eq!(runner.log(), "");
    runner.reload(&format!("{start}\"debug\"\n")).await;
    runner.world.answer(&runner.world.submit(PASS)).await;
    eventually("everything is said", || runner.log().contains("\"debug\"")).await;
    let log = runner.log();
    let whole = log.lines().take(3).all(|line| serde_json::from_str::<Value>(line).is_ok());
    assert!(whole, "{log}");
}

#[tokio::test]
async fn equal_values_are_no_change() {
    let mut runner = Reloading::with("check_interval = 0.05\ntimeout = 600\nmemory = \"1G\"\n").await;
    let work = runner.world.folder().join("state/work");
    let same = [
        "check_interval = \"50ms\"\ntimeout = \"10m\"\nmemory = \"1024M\"\n".to_owned(),
        "check_interval = 0.05\nmemory = \"1G\"\nlogger_level = \"info\"\nauth = \"no\"\n".to_owned(),
        format!(
            "check_interval = 0.050\nmemory = \"1G\"\ndrain_timeout = \"10m\"\nwork_dir = \"{}\"\ncpus = 1.0\n",
            work.display()
        ),
    ];
    for settings in same {
        runner.reload(&settings).await;
        assert_eq!(runner.last(), (None, None), "{settings}");
    }
    let more = "check_interval = 0.05\nmemory = \"1G\"\n";
    runner.reload(&format!("{more}logger_level = \"debug\"\ndrain_timeout = \"1m\"\n")).await;
    assert_eq!(runner.last().0.as_deref(), Some("drain_timeout 600 s -> 1m, logger_level info -> debug"));
    runner.reload(&format!("{more}attempts = 4\n")).await;
    let changed = "drain_timeout 1m -> 600 s, attempts 3 -> 4, logger_level debug -> info";
    assert_eq!(runner.last().0.as_deref(), Some(changed));
}

#[tokio::test]
async fn unreadable_password_keeps_old_one() {
    let secret = tempfile::tempdir().unwrap();
    let path = secret.path().join("password");
    fs::write(&path, "dora_explorer").unwrap();
    let settings = format!("check_interval = 0.05\nauth = true\npassword_file = \"{}\"\n", path.display());
    let mut runner = Reloading::with(&settings).await;
    for again in [None, Some("")] {
        match again {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
        }
        let before = runner.events("reload_password_failed").len();
        runner.reload(&settings).await;
        let after = || runner.events("reload_password_failed");
        eventually("it is said", || after().len() == before + 1).await;
        let failed = after().pop().unwrap();
        let place = format!("--password-file {}: ", path.display());
        assert!(failed["level"] == "error" && failed["error"].as_str().unwrap().contains(&place), "{failed}");
    }
    runner.world.answer(&runner.world.submit(PASS)).await;
}

#[tokio::test]
async fn json_log_escapes_control_characters() {
    let start = "check_interval = 0.05\nlog_format = \"json\"\n";
    let runner = Reloading::with(start).await;
    runner.write_and_hang_up(&format!("{start}concurrent = \"\\u009b31m\"\n"));
    eventually("it is said", || runner.world.runner.logged("reload_failed")).await;
    let log = runner.log();
    assert!(log.contains(r"'\u009b31m'") && !log.contains('\u{9b}'), "{log}");
}

#[test]
fn documents_settings_that_change_on_reload() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    let all = ostest_runner::config::running::CHANGEABLE.iter().chain(&["logger_level"]);
    let missing: Vec<_> = all.filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
