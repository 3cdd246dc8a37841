//! Kills of a runner that is stopping or has just started.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::scene::{Duplicates, begun, die_when, nothing_is_left, once, rounds, script, soon};
use crate::support::World;

#[tokio::test]
async fn while_draining() {
    let mut told = HashSet::new();
    die_when("it was told to stop while the suite runs", &[], Duplicates::None, |scene| {
        if !begun(scene.runs) {
            return false;
        }
        if told.insert(scene.mark.to_owned()) {
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
        soon("the suite runs", || begun(&runs)).await;
        // The first death counts for the claim, the later ones meet the runner before it has begun anything.
        world.restart();
        for pause in [0, 1, 5] {
            sleep(Duration::from_millis(pause)).await;
            world.restart();
        }
        let answer = world.answer(&id).await;
        let lines = fs::read_to_string(&runs).unwrap().lines().count();
        assert_eq!((answer["isPassed"].as_bool(), lines), (Some(true), 2), "round {round}: {answer}");
        nothing_is_left(&mut world, "recovery", &mark).await;
        once(&world.backend, &id, Duplicates::None, "recovery");
        world.restart();
    }
}
