//! Access to a runner's spool, and tests of its files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use mock_backend::Settings;

use crate::support::{PASS, PATIENCE, World, command, eventually};

pub fn spool(world: &World, place: &str) -> Vec<PathBuf> {
    let folder = world.folder().join("state/spool").join(place);
    fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

pub fn spool_command(world: &World, arguments: &[&str]) -> Output {
    let state = world.folder().join("state");
    command(world.folder()).arg("--state-dir").arg(state).arg("spool").args(arguments).output().unwrap()
}

/// Waits until the spool has no claims and no undelivered results.
pub async fn wait_for_empty_spool(world: &World) {
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
    // A folder with another program's spool, as in /var/spool, and an empty folder.
    for other in ["spool/mail", ""] {
        let state = home.path().join("other");
        fs::create_dir_all(state.join(other)).unwrap();
        let (code, listed, error) = list(&state);
        assert_eq!((code, listed.as_str(), error.lines().count()), (Some(2), "", 1), "{error}");
        assert!(error.contains(state.to_str().unwrap()) && error.contains("--state-dir"), "{error}");
        fs::remove_dir_all(&state).unwrap();
    }
    let state = home.path().join("state");
    drop(ostest_runner::spool::Spool::open(&state).unwrap());
    let (code, listed, error) = list(&state);
    assert_eq!((code, listed.lines().count(), error.as_str()), (Some(0), 1, ""), "{listed}");
    assert!(listed.contains(state.to_str().unwrap()), "{listed}");
}

#[tokio::test]
async fn foreign_and_torn_files_are_set_aside() {
    let mut world = World::start().await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    wait_for_empty_spool(&world).await;
    world.runner.kill();
    let state = world.folder().join("state/spool");
    fs::write(state.join("claimed/2026-01-01T00-00-00.000Z-00000000.json"), "{\"id\": 1, \"cla").unwrap();
    fs::write(state.join("results/notes.txt"), "hello").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", state.join("results/2026-01-01T00-00-00.000Z-00000001.json"))
        .unwrap();
    let requests = world.backend.requests().len();
    world.restart();
    // Wait, because a claim of the killed runner that is still in flight would lose the task.
    world
        .backend
        .wait_for_requests("the runner polls", PATIENCE, |all| all.len() > requests + 1)
        .await
        .unwrap();
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    assert_eq!(world.runner.events("spool_file_set_aside").len(), 3);
}

#[tokio::test]
async fn keeps_artifacts_of_last_tasks() {
    let world = World::with(Settings::default(), &["--keep-tasks", "2"]).await;
    for number in 0..4 {
        let id = world.submit(&format!("echo output-{number}; {PASS}"));
        world.answer(&id).await;
    }
    wait_for_empty_spool(&world).await;
    let kept: Vec<PathBuf> =
        fs::read_dir(world.folder().join("state/kept")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 2);
    let output = |folder: &PathBuf| fs::read_to_string(folder.join("suite-output.stdout")).unwrap();
    assert!(kept.iter().any(|folder| output(folder) == "output-3\n"));
    assert!(kept.iter().all(|folder| folder.join("report.xml").exists()));
}
