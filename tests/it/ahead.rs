//! What a task's sandbox takes is made while its repository is fetched: it goes with the task, whatever becomes of that,
//! and never runs anything old.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use mock_backend::{NewTask, Settings, TaskId};
use nix::sys::signal::Signal;
use sandbox::command::{Launcher, Spec};

use crate::support::{BINARY, PASS, Repository, World, eventually, have, running};

/// A plain user.
const USER: u32 = 65_532;

/// A world in the strongest sandbox whose runner has the suite ready, since it has answered a task.
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

/// A task whose repository is on a server that takes the connection and says nothing; it is in its checkout then, and
/// the sandbox for its suite, whose processes name the returned path, is there.
async fn stuck(world: &World, server: &TcpListener) -> (TaskId, String) {
    let url = format!("git://127.0.0.1:{}/student.git", server.local_addr().unwrap().port());
    let id = world.backend.submit(NewTask::new(&url, "main"));
    let mut suite = String::new();
    eventually("the sandbox of its suite is there", || {
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
        let (id, suite) = stuck(&world, &server).await;
        let answer = world.answer(&id).await;
        assert_eq!(world.fault(&id), "checkout/infrastructure", "{answer}");
        assert!(!running(&suite), "the sandbox has outlived the answer");
        // Its user and its folder are free again.
        passes(&world).await;
    }
}

#[tokio::test]
async fn sandbox_ends_with_interrupt() {
    let Some(mut world) = world(None, &[]).await else { return };
    let server = silent();
    let (id, suite) = stuck(&world, &server).await;
    world.runner.signal(Signal::SIGTERM);
    eventually("it drains", || world.runner.logged("draining")).await;
    world.runner.signal(Signal::SIGTERM);
    let answer = world.answer(&id).await;
    assert_eq!(world.fault(&id), "checkout/interruption", "{answer}");
    assert!(world.runner.ended(Duration::from_secs(5)).await.success());
    assert!(!running(&suite), "the sandbox has outlived the runner");
    world.assert_clean();
}

#[tokio::test]
async fn sandbox_ends_with_killed_runner() {
    let Some(mut world) = world(None, &[]).await else { return };
    let server = silent();
    let (_, suite) = stuck(&world, &server).await;
    world.runner.kill();
    eventually("nothing of it runs", || !running(&suite)).await;
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

fn touches(file: &Path) -> Spec {
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
    let held = launcher().hold(touches(&file)).await.unwrap();
    let waiting = Duration::from_secs(2);
    tokio::time::sleep(waiting).await;
    assert!(!file.exists(), "it began by itself");
    let exit = held.go().await.unwrap().finish().await;
    assert!(exit.success() && file.exists(), "{exit:?}");
    assert!(exit.wall < waiting, "the waiting is counted: {:?}", exit.wall);
}

#[tokio::test]
async fn abandoned_command_never_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let launcher = launcher();
    let held = launcher.hold(touches(&first)).await.unwrap();
    let started = std::time::Instant::now();
    held.give_up().await;
    drop(launcher.hold(touches(&second)).await.unwrap());
    launcher.settle().await;
    // By itself, not since it was killed in the end.
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(!first.exists() && !second.exists());
}
