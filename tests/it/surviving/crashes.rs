//! A killed runner: its task runs again, and its processes and folders are removed.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::spool::{emptied, spool};
use crate::support::{PASS, World, eventually, running};

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
