//! Tests of a killed runner: its task runs again, and its processes and folders are removed.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::spool::{spool, wait_for_empty_spool};
use crate::support::{PASS, World, eventually, running};

#[tokio::test]
async fn running_task_survives_kill() {
    let mut world = World::start().await;
    let mark = format!("mark-{}", fastrand::u64(..));
    let flag = world.fresh("second-time");
    // The script hangs in its first run and passes in its second.
    let script = format!(
        "export MARK={mark}; test -e {0} || {{ touch {0}; (setsid sleep 300 &); sleep 300; }}; {PASS}",
        flag.display()
    );
    let id = world.submit(&script);
    eventually("the task runs", || flag.exists() && running(&mark)).await;
    assert_eq!(spool(&world, "claimed").len(), 1, "the claim of a running task is not on disk");
    world.restart();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(!running(&mark), "a process of the killed attempt still runs");
    wait_for_empty_spool(&world).await;
    world.assert_clean();
}

#[tokio::test]
async fn second_crash_on_task_is_answered() {
    let mut world = World::start().await;
    let runs = world.fresh("runs");
    let id = world.submit(&format!("echo x >> {}; sleep 300", runs.display()));
    let count =
        |expected: usize| fs::read_to_string(&runs).is_ok_and(|text| text.lines().count() == expected);
    eventually("the task runs", || count(1)).await;
    world.restart();
    eventually("the task runs again", || count(2)).await;
    world.restart();
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true);
    assert_eq!(world.fault(&id), "execute/infrastructure", "{answer}");
    assert!(count(2), "the task ran a third time");
    wait_for_empty_spool(&world).await;
}

#[tokio::test]
async fn sweeps_unused_task_folders() {
    let mut world = World::start().await;
    world.submit("chmod 000 .; sleep 300");
    eventually("the task runs", || {
        fs::read_dir(world.work()).is_ok_and(|mut entries| entries.next().is_some())
    })
    .await;
    let used = world.work().join("task-in-use");
    fs::create_dir(&used).unwrap();
    let held = fs::File::open(&used).unwrap();
    held.try_lock().unwrap();
    let before: Vec<_> = fs::read_dir(world.work()).unwrap().map(|entry| entry.unwrap().path()).collect();
    world.restart();
    eventually("the leftover folders are removed", || {
        before.iter().all(|path| *path == used || !path.exists())
    })
    .await;
    assert!(used.exists());
}

#[tokio::test]
async fn sweeps_processes_of_killed_supervisors() {
    let mut world = World::start().await;
    let mark = format!("mark-{}", fastrand::u64(..));
    let flag = world.fresh("in-a-session-of-its-own");
    let touch = format!("touch {}", flag.display());
    world.submit(&format!("export MARK={mark}; (setsid sh -c '{touch}; sleep 300' &); kill -STOP $$"));
    // Before the process has its own session, SIGHUP would end it with its orphaned group.
    eventually("the task runs", || flag.exists() && running(&mark)).await;
    // The children of the runner are its supervisors.
    let children = format!("/proc/{0}/task/{0}/children", world.runner.pid());
    let supervisors = fs::read_to_string(children).unwrap();
    // All threads of the runner must have stopped: a running thread would sweep at once.
    world.runner.signal(Signal::SIGSTOP);
    let threads = format!("/proc/{}/task", world.runner.pid());
    let stopped = |thread: PathBuf| fs::read_to_string(thread).is_ok_and(|stat| stat.contains(") T "));
    eventually("all threads of the runner have stopped", || {
        fs::read_dir(&threads).unwrap().all(|thread| stopped(thread.unwrap().path().join("stat")))
    })
    .await;
    for pid in supervisors.split_whitespace() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    world.runner.kill();
    assert!(running(&mark), "the task's process has already ended");
    world.restart();
    eventually("the task's processes have ended", || !running(&mark) || world.runner.logged("task_started"))
        .await;
    eventually("the event is logged", || world.runner.logged("leftovers_killed")).await;
}
