//! `runner doctor`: what it finds, the command that it offers to fix it, and that it disturbs nothing.

mod backend;
mod folders;
mod programs;
mod sandbox;

use std::path::Path;

use mock_backend::{Endpoint, MockBackend, NewTask, Settings, Status};
use serde_json::Value;

use crate::support::{PASS, Ran, World, command, eventually, scripted_suite};

/// A backend, a suite and a home, without a runner.
pub struct Ground {
    pub home: tempfile::TempDir,
    pub backend: MockBackend,
    pub suite: String,
}

impl Ground {
    pub async fn new(settings: Settings) -> Self {
        let home = tempfile::tempdir().unwrap();
        let suite = scripted_suite(&home.path().join("suite"));
        Self { backend: MockBackend::start(settings).await.unwrap(), suite, home }
    }

    pub async fn doctor(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let url = self.backend.url();
        let fixed = ["--backend-url", &url, "--tests-url", &self.suite, "--json"];
        run(self.home.path(), &[&fixed[..], arguments].concat(), &[]).await
    }
}

/// The mock backend lives in this thread's runtime, so the wait must not block it.
pub async fn start(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut doctor = command(home);
    doctor.arg("doctor").args(arguments).envs(environment.iter().copied());
    Ran::beside(doctor).await
}

pub async fn run(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, Value) {
    let output = start(home, arguments, environment).await;
    let said = serde_json::from_str(&output.stdout);
    let said: Value = said.unwrap();
    assert_eq!(said["ok"] == true, output.code == Some(0), "{said:#}");
    (output.code, said)
}

/// State, words and remedy of one check.
pub fn check<'a>(said: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let found = said["checks"].as_array().unwrap().iter().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {said:#}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    (text("state"), text("says"), text("mend"))
}

fn auth() -> Settings {
    Settings { auth: true, ..Settings::default() }
}

#[tokio::test]
async fn healthy_machine_passes_and_claims_nothing() {
    let ground = Ground::new(auth()).await;
    let id = ground.backend.submit(NewTask::new("https://example.org/x.git", "main"));
    let (code, said) = ground.doctor(&["--auth"]).await;
    assert_eq!(code, Some(0), "{said:#}");
    for (name, value) in [
        ("python3", "3."),
        ("environments", ""),
        ("cc", "/cc"),
        ("make", "/make"),
        ("suite", ""),
        ("backend", ""),
        ("login", "dora_explorer"),
        ("role", "ADMIN"),
        ("clock", ""),
        ("state folder", ""),
        ("disk", "MB"),
    ] {
        let (state, says, mend) = check(&said, name);
        assert!(state == "ok" && says.contains(value) && mend.is_empty(), "{name}: {state} {says} {mend}");
    }
    for name in ["sandbox", "sandbox landlock", "sandbox memory", "core pattern", "open files", "processes"] {
        check(&said, name);
    }
    assert_eq!(ground.backend.status_of(&id), Some(Status::Pending));
    assert!(ground.backend.requests().iter().all(|request| request.endpoint != Some(Endpoint::Claim)));
    assert!(ground.backend.requests().iter().all(|request| !request.path.contains("available")));
    assert!(ground.backend.violations().is_empty() && ground.backend.refusals().is_empty());
    let left: Vec<_> =
        std::fs::read_dir(ground.home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == ".local"), "{left:?}");
}

#[tokio::test]
async fn doctor_does_not_disturb_running_runner() {
    let world = World::with(auth(), &["--auth", "--refresh-time", "1"]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let (state, suite) = (world.folder().join("state"), format!("file://{}/suite", world.folder().display()));
    let url = world.backend.url();
    let arguments = [
        "--json",
        "--auth",
        "--backend-url",
        &url,
        "--tests-url",
        &suite,
        "--state-dir",
        state.to_str().unwrap(),
    ];
    let slow = world.submit(&format!("sleep 1; {PASS}"));
    eventually("it runs", || world.runner.events("task_started").len() == 2).await;
    for _ in 0..2 {
        let (code, said) = run(world.folder(), &arguments, &[]).await;
        assert_eq!(code, Some(0), "{said:#}");
        let (state, says, _) = check(&said, "lock");
        assert!(state == "ok" && says.contains(&world.runner.pid().to_string()), "{says}");
    }
    assert_eq!(world.answer(&slow).await["isPassed"], true);
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    eventually("the folders go", || std::fs::read_dir(world.work()).unwrap().next().is_none()).await;
    world.assert_clean();
    let log = world.runner.log();
    assert!(!world.runner.logged("login_refused") && !log.contains(r#""level":"error""#), "{log}");
}
