//! Tests that kill the runner between the poll and the end of the suite.

use std::collections::HashSet;

use mock_backend::{Endpoint, Fault, FaultKind};

use super::scene::{Duplicates, delay, kill_when, script_started};
use crate::support::running;

#[tokio::test]
async fn while_claiming() {
    // The faults prevent a claim: the contract allows the loss of a task that a dead runner claimed.
    let faults = [delay(Endpoint::Claim, 300), Fault::new(Endpoint::Claim, FaultKind::DropBefore)];
    kill_when("a poll is in flight", &faults, Duplicates::None, |scene| {
        scene.received_fault(Endpoint::Claim)
    })
    .await;
}

#[tokio::test]
async fn after_claim_is_on_disk() {
    kill_when("claimed/ has the claim", &[], Duplicates::None, |scene| scene.spool("claimed") == 1).await;
}

#[tokio::test]
async fn after_task_folder_exists() {
    kill_when("the task's folder exists", &[], Duplicates::None, |scene| scene.task_folder().is_some()).await;
}

#[tokio::test]
async fn after_checkout_started() {
    kill_when("checkout/src/ exists", &[], Duplicates::None, |scene| scene.in_task_folder("checkout/src"))
        .await;
}

#[tokio::test]
async fn after_checkout_finished() {
    kill_when("checkout/src/run.sh exists", &[], Duplicates::None, |scene| {
        scene.in_task_folder("checkout/src/run.sh")
    })
    .await;
}

#[tokio::test]
async fn after_suite_is_copied() {
    kill_when("suite/ exists", &[], Duplicates::None, |scene| scene.in_task_folder("suite")).await;
}

#[tokio::test]
async fn while_suite_runs() {
    kill_when("the script runs", &[], Duplicates::None, |scene| {
        script_started(scene.runs) && running(scene.mark)
    })
    .await;
}

#[tokio::test]
async fn after_report_is_written() {
    kill_when("report.xml exists", &[], Duplicates::None, |scene| scene.in_task_folder("out/report.xml"))
        .await;
}

#[tokio::test]
async fn after_suite_ended() {
    let mut seen = HashSet::new();
    kill_when("the task's processes have ended", &[], Duplicates::Same, |scene| {
        let runs = running(scene.mark);
        if runs {
            seen.insert(scene.mark.to_owned());
        }
        !runs && seen.contains(scene.mark)
    })
    .await;
}
