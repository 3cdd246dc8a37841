//! Nothing lost: kills, restarts, a backend that is away, results that are refused, and what people can do about them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, Settings};
use nix::sys::signal::Signal;

use crate::support::{PASS, PATIENCE, Runner, SmallDisk, World, command, eventually, running};

fn spool(world: &World, place: &str) -> Vec<PathBuf> {
    let folder = world.folder().join("state/spool").join(place);
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

fn spool_command(world: &World, arguments: &[&str]) -> Output {
    let state = world.folder().join("state");
    command(world.folder()).arg("--state-dir").arg(state).arg("spool").args(arguments).output().unwrap()
}

/// Waits until the spool holds nothing that is not answered.
async fn emptied(world: &World) {
    eventually("the spool is empty", || {
        spool(world, "claimed").is_empty() && spool(world, "results").is_empty()
    })
    .await;
}

#[test]
fn folder_without_spool_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let list = |state: &Path| {
        let output = command(home.path()).args(["spool", "list", "--state-dir"]).arg(state).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    // Of `/var/spool`, with mail in it, and of a folder without anything.
    for other in ["spool/mail", ""] {
        let state = home.path().join("other");
        fs::create_dir_all(state.join(other)).unwrap();
        let (code, listed, says) = list(&state);
        assert_eq!((code, listed.as_str(), says.lines().count()), (Some(2), "", 1), "{says}");
        assert!(says.contains(state.to_str().unwrap()) && says.contains("--state-dir"), "{says}");
        fs::remove_dir_all(&state).unwrap();
    }
    let state = home.path().join("state");
    drop(ostest_runner::spool::Spool::open(&state).unwrap());
    let (code, listed, says) = list(&state);
    assert_eq!((code, listed.lines().count(), says.as_str()), (Some(0), 1, ""), "{listed}");
    assert!(listed.contains(state.to_str().unwrap()), "{listed}");
}

#[tokio::test]
async fn running_task_survives_kill() {
    let mut world = World::start().await;
    let mark = format!("mark-{}", fastrand::u64(..));
    let flag = world.fresh("second-time");
    // Hangs the first time, passes the second.
    let script = format!(
        "export MARK={mark}; test -e {0} || {{ touch {0}; (setsid sleep 300 &); sleep 300; }}; {PASS}",
        flag.display()
    );
    let id = world.submit(&script);
    eventually("it runs", || flag.exists() && running(&mark)).await;
    assert_eq!(spool(&world, "claimed").len(), 1, "the claim is on disk while its task runs");
    world.restart();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(!running(&mark), "a process of the killed run lives");
    emptied(&world).await;
    world.assert_clean();
}

#[tokio::test]
async fn second_crash_on_task_is_answered() {
    let mut world = World::start().await;
    let runs = world.fresh("runs");
    let id = world.submit(&format!("echo x >> {}; sleep 300", runs.display()));
    let count =
        |expected: usize| fs::read_to_string(&runs).is_ok_and(|text| text.lines().count() == expected);
    eventually("it runs", || count(1)).await;
    world.restart();
    eventually("it runs again", || count(2)).await;
    world.restart();
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true);
    assert_eq!(world.fault(&id), "execute/infrastructure", "{answer}");
    assert!(count(2), "it was run a third time");
    emptied(&world).await;
}

#[tokio::test]
async fn result_waits_on_disk_for_backend() {
    let mut world = World::start().await;
    let id = world.submit(&format!("sleep 0.5; {PASS}"));
    eventually("it runs", || world.runner.logged("task_started")).await;
    world.backend.go_down().await;
    eventually("the result is on disk", || spool(&world, "results").len() == 1).await;
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(15)).await.success());
    assert!(world.runner.logged("stopped_with_results"));
    world.backend.come_back().await.unwrap();
    world.restart();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    emptied(&world).await;
}

#[tokio::test]
async fn second_runner_names_first_and_exits() {
    let world = World::start().await;
    eventually("it asks", || !world.backend.requests().is_empty()).await;
    let mut second = world.second_runner();
    assert_eq!(second.ended(Duration::from_secs(5)).await.code(), Some(2));
    let says = second.log();
    assert!(says.contains(&world.runner.pid().to_string()), "{says}");
}

#[tokio::test]
async fn refused_result_can_be_retried_by_hand() {
    let world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(422)).times(2));
    let id = world.submit(PASS);
    eventually("it is kept", || spool(&world, "rejected").len() == 1).await;
    let listed = String::from_utf8(spool_command(&world, &["list"]).stdout).unwrap();
    assert!(listed.contains(id.as_json().trim_matches('"')) && listed.contains("422"), "{listed}");
    let shown =
        String::from_utf8(spool_command(&world, &["show", id.as_json().trim_matches('"')]).stdout).unwrap();
    assert!(shown.contains("422") && shown.contains("isPassed"), "{shown}");
    assert!(spool_command(&world, &["retry", id.as_json().trim_matches('"')]).status.success());
    assert_eq!(world.answer(&id).await["isPassed"], true, "the running runner notices by itself");
    emptied(&world).await;
}

#[tokio::test]
async fn poisonous_result_does_not_block_others() {
    // As the deployed backend does with 256 characters: a 500, for ever.
    let limits = mock_backend::Limits { error_details: 10, ..mock_backend::Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }, &[]).await;
    world.submit("exit 3");
    eventually("it is refused", || !world.backend.refusals().is_empty()).await;
    for _ in 0..3 {
        assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    }
    eventually("it is said loudly", || world.runner.logged("delivery_poisoned")).await;
    assert_eq!(spool(&world, "results").len(), 1, "it is kept");
}

#[tokio::test]
async fn too_large_result_is_sent_smaller() {
    let limits = mock_backend::Limits { body: Some(6_000), ..mock_backend::Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }, &[]).await;
    let script = r#"
        printf '<testsuite><testcase name="a"><failure message="m">%s</failure></testcase><testcase name="b"/></testsuite>' \
            "$(head -c 15000 /dev/zero | tr '\0' x)" > "$REPORT"; exit 1"#;
    let answer = world.answer(&world.submit(script)).await;
    assert_eq!(answer["testResults"].as_array().unwrap().len(), 2);
    assert!(answer["testResults"][0]["description"].as_str().unwrap().contains("cut"), "{answer}");
    emptied(&world).await;
}

#[tokio::test]
async fn interrupted_task_can_be_resumed() {
    let mut world = World::with(Settings::default(), &["--on-interrupt", "resume"]).await;
    let flag = world.fresh("second-time");
    let id = world.submit(&format!("test -e {0} || {{ touch {0}; sleep 300; }}; {PASS}", flag.display()));
    eventually("it runs", || flag.exists()).await;
    world.runner.signal(Signal::SIGTERM);
    eventually("the drain is on", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(15)).await.success());
    assert!(world.backend.result_of(&id).is_none(), "it was answered instead");
    let kept = fs::read_to_string(&spool(&world, "claimed")[0]).unwrap();
    assert!(kept.contains("\"starts\": 0"), "a planned stop is held against the task: {kept}");
    world.restart();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    emptied(&world).await;
}

#[tokio::test]
async fn foreign_and_torn_files_are_set_aside() {
    let mut world = World::start().await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    emptied(&world).await;
    world.runner.kill();
    let state = world.folder().join("state/spool");
    fs::write(state.join("claimed/2026-01-01T00-00-00.000Z-00000000.json"), "{\"id\": 1, \"cla").unwrap();
    fs::write(state.join("results/notes.txt"), "hello").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", state.join("results/2026-01-01T00-00-00.000Z-00000001.json"))
        .unwrap();
    let asked = world.backend.requests().len();
    world.restart();
    // A question of the killed one that is still on its way would take the task with it.
    world.backend.wait_for_requests("it asks", PATIENCE, |all| all.len() > asked + 1).await.unwrap();
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    assert_eq!(world.runner.events("spool_file_set_aside").len(), 3);
}

#[tokio::test]
async fn sweeps_unused_task_folders() {
    let mut world = World::start().await;
    world.submit("chmod 000 .; sleep 300");
    eventually("it runs", || fs::read_dir(world.work()).is_ok_and(|mut entries| entries.next().is_some()))
        .await;
    let used = world.work().join("task-in-use");
    fs::create_dir(&used).unwrap();
    let held = fs::File::open(&used).unwrap();
    held.try_lock().unwrap();
    let before: Vec<_> = fs::read_dir(world.work()).unwrap().map(|entry| entry.unwrap().path()).collect();
    world.restart();
    eventually("the leftovers are gone", || before.iter().all(|path| *path == used || !path.exists())).await;
    assert!(used.exists());
}

#[tokio::test]
async fn waiting_for_token_does_not_delay_stop() {
    let settings = Settings { auth: true, users: vec![], ..Settings::default() };
    let mut world = World::with(settings, &["--auth"]).await;
    eventually("it is refused", || world.runner.logged("login_refused")).await;
    eventually("it waits for a token", || world.runner.logged("suite_ready")).await;
    let started = std::time::Instant::now();
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn sweeps_processes_of_killed_supervisors() {
    let mut world = World::start().await;
    let mark = format!("mark-{}", fastrand::u64(..));
    let flag = world.fresh("in-a-session-of-its-own");
    let touch = format!("touch {}", flag.display());
    world.submit(&format!("export MARK={mark}; (setsid sh -c '{touch}; sleep 300' &); kill -STOP $$"));
    // Before that it would be hung up with the group that loses its parent.
    eventually("it runs", || flag.exists() && running(&mark)).await;
    // All supervisors of this runner: its own children.
    let children = format!("/proc/{0}/task/{0}/children", world.runner.pid());
    let supervisors = fs::read_to_string(children).unwrap();
    // Stopped in all its threads: what still runs would sweep at once.
    world.runner.signal(Signal::SIGSTOP);
    let threads = format!("/proc/{}/task", world.runner.pid());
    let stopped = |thread: PathBuf| fs::read_to_string(thread).is_ok_and(|stat| stat.contains(") T "));
    eventually("it has stopped", || {
        fs::read_dir(&threads).unwrap().all(|thread| stopped(thread.unwrap().path().join("stat")))
    })
    .await;
    for pid in supervisors.split_whitespace() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    world.runner.kill();
    assert!(running(&mark), "there is nothing to sweep");
    world.restart();
    eventually("they are gone", || !running(&mark) || world.runner.logged("task_started")).await;
    eventually("it says so", || world.runner.logged("leftovers_killed")).await;
}

#[tokio::test]
async fn keeps_artifacts_of_last_tasks() {
    let world = World::with(Settings::default(), &["--keep-tasks", "2"]).await;
    for number in 0..4 {
        let id = world.submit(&format!("echo output-{number}; {PASS}"));
        world.answer(&id).await;
    }
    emptied(&world).await;
    let kept: Vec<PathBuf> =
        fs::read_dir(world.folder().join("state/kept")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 2);
    let output = |folder: &PathBuf| fs::read_to_string(folder.join("suite-output.stdout")).unwrap();
    assert!(kept.iter().any(|folder| output(folder) == "output-3\n"));
    assert!(kept.iter().all(|folder| folder.join("report.xml").exists()));
}

#[tokio::test]
async fn full_disk_stops_claims_until_freed() {
    let Some(disk) = SmallDisk::new("64M") else { return };
    let world = World::with(Settings::default(), &["--mock"]).await;
    let suite = format!("file://{}/suite", world.folder().display());
    let arguments = ["--allow-local-repositories", "--tests-url", &suite, "--check-interval", "100ms"];
    let other = mock_backend::MockBackend::start(Settings::default()).await.unwrap();
    let runner = Runner::start(disk.path(), &other.url(), &arguments);
    eventually("it asks", || !other.requests().is_empty()).await;
    let filler = disk.fill();
    let student = crate::support::student(&world.fresh("student"), PASS);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = other.requests().len();
    let id = other.submit(mock_backend::NewTask::new(&student.url(), "main"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(other.requests().len(), before, "it asked for a task that it could not have kept");
    fs::remove_file(filler).unwrap();
    let answered =
        other.wait_for("the answer", Duration::from_secs(90), |backend| backend.result_of(&id)).await;
    assert!(answered.is_ok(), "{}", runner.log());
}

/// A world whose runner could not write down what it has claimed, and works on it all the same.
async fn unwritten(arguments: &[&str], script: &str) -> (World, mock_backend::TaskId) {
    let world = World::with(Settings::default(), arguments).await;
    // Its place in the spool is made before it asks, and filled when the answer comes.
    let asked = Duration::from_secs(2);
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::Delay(asked)));
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(503)).forever());
    let id = world.submit(script);
    let before = world.backend.requests().len();
    eventually("it asks", || world.backend.requests().len() > before).await;
    tokio::time::sleep(asked / 4).await;
    let claimed = world.folder().join("state/spool/claimed");
    fs::rename(&claimed, world.fresh("claimed")).unwrap();
    eventually("it says so", || world.runner.logged("claim_unspooled")).await;
    fs::create_dir(claimed).unwrap();
    (world, id)
}

#[tokio::test]
async fn undelivered_unspooled_result_is_logged() {
    let (mut world, id) = unwritten(&[], PASS).await;
    eventually("it is offered", || world.runner.logged("delivery_retried")).await;
    assert!(!world.runner.logged("result_lost"));
    world.runner.signal(Signal::SIGTERM);
    world.runner.ended(Duration::from_secs(20)).await;
    assert!(world.runner.logged("stopped_with_unspooled") && !world.runner.logged("stopped_clean"));
    let [lost] = world.runner.events("result_lost").try_into().unwrap();
    assert_eq!(lost["task.id"], id.to_string().trim_matches('"'));
    let body: serde_json::Value = serde_json::from_str(lost["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["isPassed"], true);
}

#[tokio::test]
async fn unspooled_task_is_answered_not_resumed() {
    let (mut world, id) = unwritten(&["--on-interrupt", "resume"], "sleep 300").await;
    eventually("it runs", || world.runner.logged("checked_out")).await;
    world.backend.clear_faults();
    world.runner.signal(Signal::SIGTERM);
    eventually("the drain is on", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGTERM);
    world.runner.ended(Duration::from_secs(20)).await;
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true, "{answer}");
}
