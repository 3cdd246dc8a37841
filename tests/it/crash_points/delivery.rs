//! Tests that kill the runner while it stores and delivers the result.

use std::collections::HashSet;
use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, MockBackend, TaskId};

use super::scene::{Duplicates, Scene, delay, kill_when};

#[tokio::test]
async fn after_result_is_on_disk() {
    let faults = [delay(Endpoint::Result, 500)];
    kill_when("results/ has the result", &faults, Duplicates::Same, |scene| scene.spool("results") == 1)
        .await;
}

#[tokio::test]
async fn after_claim_is_removed() {
    let faults = [delay(Endpoint::Result, 500)];
    let forgotten = |scene: &Scene<'_>| scene.spool("results") == 1 && scene.spool("claimed") == 0;
    kill_when("claimed/ is empty again", &faults, Duplicates::Same, forgotten).await;
}

#[tokio::test]
async fn while_result_is_sent() {
    let faults = [delay(Endpoint::Result, 500)];
    kill_when("the delivery is in flight", &faults, Duplicates::Same, |scene| {
        scene.received_fault(Endpoint::Result)
    })
    .await;
}

#[tokio::test]
async fn after_backend_stored_unconfirmed_result() {
    let faults = [Fault::new(Endpoint::Result, FaultKind::Late(Duration::from_secs(20)))];
    let stored = |scene: &Scene<'_>| {
        let attempts = scene.world.backend.attempts();
        attempts.last().is_some_and(|attempt| attempt.result.is_some())
    };
    kill_when("the result is stored but not confirmed", &faults, Duplicates::Same, stored).await;
}

#[tokio::test]
async fn while_delivery_waits_for_retry() {
    let faults = [Fault::new(Endpoint::Result, FaultKind::retry_after(503, 200)).forever()];
    kill_when("the backend has answered 503", &faults, Duplicates::None, |scene| {
        let requests = scene.world.backend.requests();
        requests.iter().skip(scene.before).any(|request| request.status == Some(503))
    })
    .await;
}

#[tokio::test]
async fn after_result_is_delivered() {
    let mut seen = HashSet::new();
    kill_when("results/ is empty again", &[], Duplicates::Same, |scene| {
        let holds = scene.spool("results") == 1;
        if holds || scene.world.backend.result_of(&last(&scene.world.backend)).is_some() {
            seen.insert(scene.mark.to_owned());
        }
        !holds && seen.contains(scene.mark)
    })
    .await;
}

fn last(backend: &MockBackend) -> TaskId {
    backend.attempts().pop().and_then(|attempt| attempt.id).unwrap()
}
