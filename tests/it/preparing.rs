//! Tests of the sandbox that the worker prepares during the checkout: it ends with its task and runs the current suite.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use mock_backend::{NewTask, Settings, TaskId};
use nix::sys::signal::Signal;
use sandbox::command::{Launcher, Spec};

use crate::support::{BINARY, PASS, Repository, World, eventually, have, running};

/// A user without privileges.
const USER: u32 = 65_532;

/// Starts a runner with the strongest sandbox and waits until it has answered one task, so its suite is ready.
async fn world(user: Option<u32>, arguments: &[&str]) -> Option<World> {
    if !have("bwrap", "bubblewrap") {
        return None;
    }
    let world = World::with(Settings::default(), arguments).await.confined("bwrap", user);
    passes(&world).await;
    Some(world)
}

async fn passes(world: &World) {
    let answer = world.answer(&world.submit(PASS)).await;
    assert_eq!(answer["isPassed"], true, "{answer}\n{}", world.runner.log());
    world.assert_clean();
}

/// Submits a task whose checkout hangs: the git server accepts the connection and never answers. Waits until the
/// sandbox for the suite runs. Returns the task and the path that the sandbox's processes have on their command lines.
async fn submit_with_hanging_checkout(world: &World, server: &TcpListener) -> (TaskId, String) {
    let url = format!("git://127.0.0.1:{}/student.git", server.local_addr().unwrap().port());
    let id = world.backend.submit(NewTask::new(&url, "main"));
    let mut suite = String::new();
    eventually("the sandbox for the suite runs", || {
        let folder = std::fs::read_dir(world.work()).unwrap().flatten().next();
        suite = folder.map(|entry| entry.path().join("suite").display().to_string()).unwrap_or_default();
        !suite.is_empty() && running(&suite)
    })
    .await;
    (id, suite)
}

fn silent() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[tokio::test]
async fn sandbox_ends_with_failed_checkout() {
    for user in [None, Some(USER)] {
        let arguments = ["--checkout-timeout", "1s", "--attempts", "1"];
        let Some(world) = world(user, &arguments).await else { return };
        let server = silent();
        let (id, suite) = submit_with_hanging_checkout(&world, &server).await;
        let answer = world.answer(&id).await;
        assert_eq!(world.fault(&id), "checkout/infrastructure", "{answer}");
        assert!(!running(&suite), "the sandbox still runs after the answer");
        // The next task can use the same user and folder.
        passes(&world).await;
    }
}

#[tokio::test]
async fn sandbox_ends_with_interrupt() {
    let Some(mut world) = world(None, &[]).await else { return };
    let server = silent();
    let (id, suite) = submit_with_hanging_checkout(&world, &server).await;
    world.runner.signal(Signal::SIGTERM);
    eventually("the runner drains", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGTERM);
    let answer = world.answer(&id).await;
    assert_eq!(world.fault(&id), "checkout/interruption", "{answer}");
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    assert!(!running(&suite), "the sandbox still runs after the runner ended");
    world.assert_clean();
}

#[tokio::test]
async fn sandbox_ends_with_killed_runner() {
    let Some(mut world) = world(None, &[]).await else { return };
    let server = silent();
    let (_, suite) = submit_with_hanging_checkout(&world, &server).await;
    world.runner.kill();
    eventually("the sandbox has ended", || !running(&suite)).await;
}

#[tokio::test]
async fn changed_suite_replaces_prepared_one() {
    let Some(world) = world(None, &["--suite-max-age", "0"]).await else { return };
    let suite = world.folder().join("suite");
    let text = std::fs::read_to_string(suite.join("run_tests.py")).unwrap();
    Repository::open(&suite).commit(&[("run_tests.py", &text.replace("test_one", "test_two"))]);
    let answer = world.answer(&world.submit(PASS)).await;
    assert_eq!(answer["testResults"][0]["name"], "sample::test_two", "{answer}");
    world.assert_clean();
}

fn launcher() -> Launcher {
    let settings = sandbox::command::Settings { grace: Duration::from_secs(5), keep_output: 1024 };
    Launcher::new(BINARY, "test", settings)
}

fn touch(file: &Path) -> Spec {
    Spec {
        program: "touch".to_owned(),
        args: vec![file.display().to_string()],
        env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        dir: Path::new("/").to_owned(),
        ..Spec::default()
    }
}

#[tokio::test]
async fn held_command_starts_only_when_released() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let prepared = launcher().prepare(touch(&file)).await.unwrap();
    let waiting = Duration::from_secs(2);
    tokio::time::sleep(waiting).await;
    assert!(!file.exists(), "the held command started before its release");
    let exit = prepared.start().await.unwrap().finish().await;
    assert!(exit.success() && file.exists(), "{exit:?}");
    assert!(exit.wall < waiting, "the wall time includes the time before the release: {:?}", exit.wall);
}

#[tokio::test]
async fn abandoned_command_never_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let launcher = launcher();
    let prepared = launcher.prepare(touch(&first)).await.unwrap();
    let started = std::time::Instant::now();
    prepared.cancel().await;
    drop(launcher.prepare(touch(&second)).await.unwrap());
    launcher.settle().await;
    // The commands ended by themselves: a kill would come after the grace of 5 s.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(!first.exists() && !second.exists());
}
