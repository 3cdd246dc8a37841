//! Tests that kill a runner while it stops or just after it started.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::scene::{
    Duplicates, assert_answered_once, assert_nothing_left, kill_when, rounds, script, script_started,
    wait_closely,
};
use crate::support::World;

#[tokio::test]
async fn while_draining() {
    let mut signalled = HashSet::new();
    kill_when("the runner drains while the suite runs", &[], Duplicates::None, |scene| {
        if !script_started(scene.runs) {
            return false;
        }
        if signalled.insert(scene.mark.to_owned()) {
            scene.world.runner.signal(Signal::SIGTERM);
        }
        scene.world.runner.logged("draining")
    })
    .await;
}

#[tokio::test]
async fn while_resuming_after_earlier_crash() {
    let mut world = World::start().await;
    for round in 0..rounds() {
        let (mark, runs) = (format!("mark-{}", fastrand::u64(..)), world.fresh("runs"));
        let id = world.submit(&script(&mark, &runs));
        wait_closely("the suite runs", || script_started(&runs)).await;
        // The first kill counts as a start of the task. The later kills hit the runner before it starts the task.
        world.restart();
        for pause in [0, 1, 5] {
            sleep(Duration::from_millis(pause)).await;
            world.restart();
        }
        let answer = world.answer(&id).await;
        let lines = fs::read_to_string(&runs).unwrap().lines().count();
        assert_eq!((answer["isPassed"].as_bool(), lines), (Some(true), 2), "round {round}: {answer}");
        assert_nothing_left(&mut world, "recovery", &mark).await;
        assert_answered_once(&world.backend, &id, Duplicates::None, "recovery");
        world.restart();
    }
}
