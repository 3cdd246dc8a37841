//! Tests of several runners on one backend: a rolling upgrade under load loses no task.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mock_backend::{MockBackend, NewTask, Settings, Status, TaskId};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{Ran, Repository, Runner, command, eventually, scripted_suite, student};

const RUNNERS: usize = 4;
const ROUNDS: usize = 2;

/// Minimum number of waiting tasks. It keeps every runner busy.
const BACKLOG: usize = 12;

/// Maximum time of a drain: the running tasks and their deliveries on a busy machine.
const DRAIN: Duration = Duration::from_secs(30);

/// A backend for several runners, each with its own state folder, and the submitted tasks.
struct Fleet {
    backend: MockBackend,
    folder: TempDir,
    suite: String,
    students: Vec<(Repository, &'static str)>,
    submitted: Vec<(TaskId, &'static str)>,
}

impl Fleet {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let suite = scripted_suite(&folder.path().join("suite"));
        let kinds = [
            ("passes", r#"sleep 0.2; printf %s "$PASS" > "$REPORT""#, "SUCCESS"),
            ("fails", r#"sleep 0.2; printf %s "$FAIL" > "$REPORT"; exit 1"#, "FAILURE"),
            ("breaks", "sleep 0.2; exit 3", "ERROR"),
        ];
        let students = kinds
            .map(|(name, script, verdict)| (student(&folder.path().join(name), script), verdict))
            .into_iter()
            .collect();
        let backend = MockBackend::start(Settings::default()).await.unwrap();
        Self { backend, folder, suite, students, submitted: Vec::new() }
    }

    /// Submits tasks of each kind until `BACKLOG` tasks wait.
    fn load(&mut self) {
        while self.backend.unanswered() < BACKLOG {
            let (repository, verdict) = &self.students[self.submitted.len() % self.students.len()];
            let id = self.backend.submit(NewTask::new(&repository.url(), "main"));
            self.submitted.push((id, verdict));
        }
    }

    /// Starts runner `number` on the state folder of its predecessor.
    fn start(&self, number: usize) -> Runner {
        let home = self.folder.path().join(format!("runner-{number}"));
        fs::create_dir_all(&home).unwrap();
        let arguments = [
            "--allow-local-repositories",
            "--tests-url",
            &self.suite,
            "--check-interval",
            "50ms",
            "--concurrent",
            "2",
            "--sandbox",
            "none",
        ];
        Runner::start(&home, &self.backend.url(), &arguments)
    }

    /// Waits until `holds` is true, and submits tasks meanwhile.
    async fn submit_until(&mut self, what: &str, mut holds: impl FnMut() -> bool) {
        eventually(what, || {
            self.load();
            holds()
        })
        .await;
    }

    /// The answers that are missing, wrong or duplicate, and the violations of the protocol.
    fn wrong_answers(&self) -> Vec<String> {
        let mut wrong_answers: Vec<String> = Vec::new();
        for (id, verdict) in &self.submitted {
            let status = self.backend.status_of(id).map(Status::as_str);
            let times = self.backend.result_of(id).map_or(0, |result| result.deliveries);
            if status != Some(verdict) || times != 1 {
                wrong_answers.push(format!("{id}: {status:?} for {verdict}, answered {times} times"));
            }
        }
        wrong_answers.extend(self.backend.violations().iter().map(|violation| format!("{violation:?}")));
        wrong_answers
    }
}

/// Waits until a runner has opened the spool in `state`.
async fn wait_for_spool(state: &Path) {
    eventually("the runner has opened its spool", || {
        state.join("spool/claimed").is_dir() && state.join("runner.lock").exists()
    })
    .await;
}

#[tokio::test]
async fn shared_state_folder_lists_each_runner() {
    let fleet = Fleet::new().await;
    let (home, url) = (fleet.folder.path(), fleet.backend.url());
    let shared = home.join("shared");
    let with_slots = shared.join("{slot}");
    let fixed = ["--backend-url", &url, "--tests-url", &fleet.suite, "--sandbox", "none", "--state-dir"];
    let doctor_output = async |arguments: &[&str], state: &Path| {
        let mut command = command(home);
        command.args(arguments).args(fixed).arg(state);
        // The mock backend runs on this thread, so the command must not block it.
        let ran = Ran::beside(command).await;
        (ran.code, ran.all())
    };
    let (_, doctor) = doctor_output(&["doctor"], &with_slots).await;
    assert!(doctor.contains(shared.to_str().unwrap()) && !shared.exists(), "{doctor}");

    let mut runners = Vec::new();
    for number in ["1", "2", "3"] {
        let mut daemon = command(home);
        daemon.args(fixed).arg(&with_slots);
        runners.push(Runner::spawn(home, daemon));
        wait_for_spool(&shared.join(number)).await;
    }
    let last = runners.pop().unwrap();
    let (first, second) = (runners[0].pid(), runners[1].pid());
    drop(last);
    let (_, doctor) = doctor_output(&["doctor"], &with_slots).await;
    let lock = doctor.lines().find(|line| line.starts_with("ok       lock ")).unwrap_or(&doctor);
    for pid in [first, second] {
        assert!(lock.contains(&pid.to_string()), "{lock}");
    }
    assert!(lock.ends_with('3'), "the doctor does not name the free state folder: {lock}");
    assert!(!shared.join("4").exists(), "the doctor created a state folder");

    // The text must not call the shared folder empty while its subfolders hold results.
    for state in [&with_slots, &shared] {
        let (code, line) = doctor_output(&["spool", "list"], state).await;
        assert_eq!((code, line.lines().count()), (Some(2), 1), "{line}");
        let names =
            [format!("--state-dir {} ", state.display()), format!("--state-dir {}/1", shared.display())];
        assert!(line.contains("1, 2, 3") && names.iter().all(|name| line.contains(name)), "{line}");
    }
    let (code, line) = doctor_output(&["spool", "list"], &shared.join("2")).await;
    assert_eq!((code, line.lines().count()), (Some(0), 1), "{line}");
    assert!(line.contains(shared.join("2").to_str().unwrap()), "{line}");
}

/// Number of tasks that a runner has started and not ended.
fn running_tasks(runner: &Runner) -> usize {
    runner.events("task_started").len().saturating_sub(runner.events("task_ended").len())
}

#[tokio::test]
async fn rolling_restart_answers_each_task_once() {
    let mut fleet = Fleet::new().await;
    fleet.load();
    let mut runners: Vec<Runner> = (0..RUNNERS).map(|number| fleet.start(number)).collect();
    for round in 0..ROUNDS {
        for (number, runner) in runners.iter_mut().enumerate() {
            fleet
                .submit_until(&format!("{number} works in round {round}"), || running_tasks(runner) > 0)
                .await;
            runner.signal(Signal::SIGTERM);
            // The other runners keep working.
            let end = tokio::time::Instant::now() + DRAIN;
            while runner.is_alive() {
                fleet.load();
                assert!(tokio::time::Instant::now() < end, "no end\n{}", runner.log());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let status = runner.ended(DRAIN).await;
            assert!(status.success(), "{status}\n{}", runner.log());
            assert_eq!(running_tasks(runner), 0, "{}", runner.log());
            *runner = fleet.start(number);
        }
    }
    for runner in &runners {
        fleet.submit_until("the restarted runner starts a task", || runner.logged("task_started")).await;
    }
    eventually("all tasks are answered", || fleet.backend.unanswered() == 0).await;
    let wrong_answers = fleet.wrong_answers();
    assert!(
        wrong_answers.is_empty(),
        "{} of {}: {wrong_answers:#?}",
        wrong_answers.len(),
        fleet.submitted.len()
    );
    // Each drain interrupted a busy runner while others worked.
    assert!(fleet.submitted.len() > BACKLOG + RUNNERS * ROUNDS, "{}", fleet.submitted.len());
}
