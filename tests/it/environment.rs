//! Tests of the suite's mirror and environment: they are made once, shared, refreshed and repaired.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use mock_backend::Settings;
use nix::sys::signal::Signal;

use crate::support::{
    PASS, Repository, World, command, events_in, eventually, have, running, scripted_suite,
};

fn environments(world: &World) -> Vec<std::path::PathBuf> {
    let folder = world.folder().join("state/environments");
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

#[tokio::test]
async fn it_is_made_once_before_the_first_claim_and_shared_by_all() {
    let world = World::without_environment(Settings::default(), &["--concurrent", "8"]).await;
    let ids: Vec<_> = (0..16).map(|_| world.submit(PASS)).collect();
    for id in &ids {
        assert_eq!(world.answer(id).await["isPassed"], true);
    }
    let log = world.runner.log();
    assert_eq!(world.runner.events("environment_started").len(), 1, "{log}");
    let ready = log.find("suite_ready").expect("suite_ready is logged");
    assert!(
        ready < log.find("task_started").unwrap(),
        "the runner started a task before the suite was ready"
    );
    assert_eq!(environments(&world).len(), 1);
}

#[tokio::test]
async fn a_suite_that_changes_is_taken_up_and_gets_an_environment_of_its_own() {
    let world = World::without_environment(Settings::default(), &["--suite-max-age", "0"]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let suite = Repository::open(&world.folder().join("suite"));
    suite.commit(&[
        ("run_tests.py", "import sys; sys.exit('the new suite')"),
        ("requirements.txt", "# none\n"),
    ]);
    let answer = world.answer(&world.submit(PASS)).await;
    assert!(answer["errorDetails"].as_str().unwrap().contains("the new suite"), "{answer}");
    assert_eq!(environments(&world).len(), 1, "unchanged requirements made a second environment");
}

#[tokio::test]
async fn a_remote_that_is_gone_means_what_is_there() {
    let world = World::without_environment(Settings::default(), &["--suite-max-age", "0"]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    fs::rename(world.folder().join("suite"), world.folder().join("moved")).unwrap();
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    assert!(world.runner.logged("suite_refresh_failed"));
}

#[tokio::test]
async fn what_somebody_has_removed_is_made_anew() {
    let world = World::without_environment(Settings::default(), &["--suite-max-age", "1h"]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    for folder in ["environments", "suite"] {
        fs::remove_dir_all(world.folder().join("state").join(folder)).unwrap();
        let answer = world.answer(&world.submit(PASS)).await;
        assert_eq!(answer["isPassed"], true, "without {folder}: {answer}");
    }
}

#[tokio::test]
async fn no_task_is_taken_before_the_suite_is_ready() {
    let world = World::without_environment(Settings::default(), &["--tests-ref", "not-yet"]).await;
    let id = world.submit(PASS);
    eventually("the event is logged", || world.runner.logged("suite_not_ready")).await;
    assert!(world.backend.requests().is_empty(), "the runner polled before its suite was ready");
    let suite = Repository::open(&world.folder().join("suite"));
    suite.branch("not-yet");
    assert_eq!(world.answer(&id).await["isPassed"], true);
}

#[tokio::test]
async fn a_runner_killed_while_making_it_leaves_nothing_that_is_taken_for_whole() {
    let mut world = World::without_environment(Settings::default(), &[]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    world.runner.signal(Signal::SIGKILL);
    world.runner.ended(Duration::from_secs(5)).await;
    let [environment] = environments(&world).try_into().unwrap();
    // What a killed installation leaves: some files, no marker, a stale lock file.
    fs::remove_file(environment.join(".complete")).unwrap();
    fs::remove_file(environment.join("bin/python")).unwrap();
    fs::write(environment.join("pyvenv.cfg"), "half").unwrap();
    world.restart();
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    assert_eq!(environments(&world), [environment]);
}

/// Makes a suite that needs `--lab` and `--labs`. Its first call with `--help` runs the Python code `first_help_code`.
fn suite_with_failing_help(first_help_code: &str, folder: &std::path::Path) -> String {
    let suite = folder.join("suite");
    scripted_suite(&suite);
    let marker = folder.join("asked");
    let help = format!(
        "
if '--help' in sys.argv:
    if os.path.exists('{marker}'):
        print('usage: run_tests.py --src SRC --lab LAB [--labs LABS]')
    else:
        open('{marker}', 'w').close()
        {first_help_code}
    sys.exit()
for option in ['--lab', '--labs']:
    at = sys.argv.index(option)
    del sys.argv[at:at + 2]
",
        marker = marker.display()
    );
    let script = fs::read_to_string(suite.join("run_tests.py")).unwrap();
    let script = format!("import os, signal, sys, time\n{help}\n{script}");
    Repository::open(&suite).commit(&[("run_tests.py", &script)]);
    format!("file://{}", suite.display())
}

#[tokio::test]
async fn retries_failed_help_of_suite() {
    for (first_help_code, names) in [
        ("os.kill(os.getpid(), signal.SIGKILL)", ["--help", "signal 9"]),
        ("time.sleep(600)", ["--help", "30 s"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let suite = suite_with_failing_help(first_help_code, folder.path());
        let world = World::without_environment(Settings::default(), &["--tests-url", &suite]).await;
        let id = world.submit_with(PASS, |task| task.lab(2));
        // The call with `--help` may take 30 s.
        let end = std::time::Instant::now() + Duration::from_secs(60);
        let is_named =
            |event: &serde_json::Value| names.iter().all(|name| event["fault"].to_string().contains(name));
        while !world.runner.events("suite_not_ready").iter().any(is_named) {
            assert!(std::time::Instant::now() < end, "{}", world.runner.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(world.backend.requests().is_empty(), "the runner polled before its suite was ready");
        let answer = world.answer(&id).await;
        assert_eq!(answer["isPassed"], true, "{answer}\n{}", world.runner.log());
    }
}

#[test]
fn two_processes_make_one_environment() {
    let folder = tempfile::tempdir().unwrap();
    let suite = scripted_suite(&folder.path().join("suite"));
    fs::create_dir(folder.path().join("program")).unwrap();
    fs::write(folder.path().join("program/run.sh"), PASS).unwrap();
    let start = || {
        let mut run = command(folder.path());
        run.args(["--tests-url", &suite, "--logger-level", "info", "--log-format", "json", "run"])
            .arg(folder.path().join("program"));
        run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [start(), start()];
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let logs = outputs.each_ref().map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(outputs.iter().all(|output| output.status.success()), "{logs:?}");
    let environments_made: usize = logs.iter().map(|log| events_in(log, "environment_ready").len()).sum();
    assert_eq!(environments_made, 1, "{logs:?}");
}

#[tokio::test]
async fn missing_requirement_is_named_and_leaves_no_process() {
    let world = World::without_environment(Settings::default(), &[]).await;
    let suite = Repository::open(&world.folder().join("suite"));
    suite.commit(&[("requirements.txt", "./no-such-folder-of-the-suite\n")]);
    let id = world.submit(PASS);
    drop(id);
    let mut failing = World::without_environment(Settings::default(), &["--tests-url", &suite.url()]).await;
    let failed = failing.runner.logs("suite_not_ready").await;
    assert!(failed["fault"].as_str().unwrap().contains("no-such-folder-of-the-suite"), "{failed}");
    failing.runner.signal(Signal::SIGTERM);
    assert!(failing.runner.ended(Duration::from_secs(5)).await.success());
    assert!(!running(&failing.folder().display().to_string()));
}

#[tokio::test]
async fn uv_makes_environment_if_installed() {
    if !have("uv", "- ; pip install uv") {
        return;
    }
    let world = World::without_environment(Settings::default(), &[]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let [environment] = environments(&world).try_into().unwrap();
    let made_by = fs::read_to_string(environment.join("pyvenv.cfg")).unwrap();
    assert!(made_by.contains("uv ="), "{made_by}");
}
