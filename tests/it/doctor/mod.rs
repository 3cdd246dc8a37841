//! Tests of `runner doctor`: its findings, its suggested commands, and that it does not disturb a running runner.

mod backend;
mod folders;
mod programs;
mod sandbox;

use std::path::Path;

use mock_backend::{Endpoint, MockBackend, NewTask, Settings, Status};
use serde_json::Value;

use crate::support::{PASS, Ran, World, command, eventually, scripted_suite};

/// A backend, a suite and a home folder, without a runner.
pub struct Setup {
    pub home: tempfile::TempDir,
    pub backend: MockBackend,
    pub suite: String,
}

impl Setup {
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

/// Runs `runner doctor` without blocking this thread, on which the mock backend runs.
pub async fn start(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut doctor = command(home);
    doctor.arg("doctor").args(arguments).envs(environment.iter().copied());
    Ran::beside(doctor).await
}

pub async fn run(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, Value) {
    let output = start(home, arguments, environment).await;
    let report = serde_json::from_str(&output.stdout);
    let report: Value = report.unwrap();
    assert_eq!(report["ok"] == true, output.code == Some(0), "{report:#}");
    (output.code, report)
}

/// State, message and remedy of one check.
pub fn check<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let found = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {report:#}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    (text("state"), text("says"), text("mend"))
}

fn auth() -> Settings {
    Settings { auth: true, ..Settings::default() }
}

#[tokio::test]
async fn healthy_machine_passes_and_claims_nothing() {
    let setup = Setup::new(auth()).await;
    let id = setup.backend.submit(NewTask::new("https://example.org/x.git", "main"));
    let (code, report) = setup.doctor(&["--auth"]).await;
    assert_eq!(code, Some(0), "{report:#}");
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
        let (state, message, remedy) = check(&report, name);
        assert!(
            state == "ok" && message.contains(value) && remedy.is_empty(),
            "{name}: {state} {message} {remedy}"
        );
    }
    for name in ["sandbox", "sandbox landlock", "sandbox memory", "core pattern", "open files", "processes"] {
        check(&report, name);
    }
    assert_eq!(setup.backend.status_of(&id), Some(Status::Pending));
    assert!(setup.backend.requests().iter().all(|request| request.endpoint != Some(Endpoint::Claim)));
    assert!(setup.backend.requests().iter().all(|request| !request.path.contains("available")));
    assert!(setup.backend.violations().is_empty() && setup.backend.refusals().is_empty());
    let left: Vec<_> =
        std::fs::read_dir(setup.home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
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
    eventually("the second task runs", || world.runner.events("task_started").len() == 2).await;
    for _ in 0..2 {
        let (code, report) = run(world.folder(), &arguments, &[]).await;
        assert_eq!(code, Some(0), "{report:#}");
        let (state, message, _) = check(&report, "lock");
        assert!(state == "ok" && message.contains(&world.runner.pid().to_string()), "{message}");
    }
    assert_eq!(world.answer(&slow).await["isPassed"], true);
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    eventually("the tasks' folders are removed", || {
        std::fs::read_dir(world.work()).unwrap().next().is_none()
    })
    .await;
    world.assert_clean();
    let log = world.runner.log();
    assert!(!world.runner.logged("login_refused") && !log.contains(r#""level":"error""#), "{log}");
}
