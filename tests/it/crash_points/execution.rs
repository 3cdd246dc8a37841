//! Kills from the claim to the end of the suite.

use std::collections::HashSet;

use mock_backend::{Endpoint, Fault, FaultKind};

use super::scene::{Duplicates, begun, delay, die_when};
use crate::support::running;

#[tokio::test]
async fn while_claiming() {
    // Nothing is handed out: what the backend hands to the dead is lost by the contract.
    let faults = [delay(Endpoint::Claim, 300), Fault::new(Endpoint::Claim, FaultKind::DropBefore)];
    die_when("a question is on its way", &faults, Duplicates::None, |scene| scene.struck(Endpoint::Claim))
        .await;
}

#[tokio::test]
async fn after_claim_is_on_disk() {
    die_when("claimed/ holds it", &[], Duplicates::None, |scene| scene.spool("claimed") == 1).await;
}

#[tokio::test]
async fn after_task_folder_exists() {
    die_when("task-* is there", &[], Duplicates::None, |scene| scene.task_folder().is_some()).await;
}

#[tokio::test]
async fn after_checkout_started() {
    die_when("checkout/src/ is there", &[], Duplicates::None, |scene| scene.in_task_folder("checkout/src"))
        .await;
}

#[tokio::test]
async fn after_checkout_finished() {
    die_when("checkout/src/run.sh is there", &[], Duplicates::None, |scene| {
        scene.in_task_folder("checkout/src/run.sh")
    })
    .await;
}

#[tokio::test]
async fn after_suite_is_copied() {
    die_when("suite/ is there", &[], Duplicates::None, |scene| scene.in_task_folder("suite")).await;
}

#[tokio::test]
async fn while_suite_runs() {
    die_when("its script runs", &[], Duplicates::None, |scene| begun(scene.runs) && running(scene.mark))
        .await;
}

#[tokio::test]
async fn after_report_is_written() {
    die_when("report.xml is there", &[], Duplicates::None, |scene| scene.in_task_folder("out/report.xml"))
        .await;
}

#[tokio::test]
async fn after_suite_ended() {
    let mut seen = HashSet::new();
    die_when("its processes are gone", &[], Duplicates::Same, |scene| {
        let runs = running(scene.mark);
        if runs {
            seen.insert(scene.mark.to_owned());
        }
        !runs && seen.contains(scene.mark)
    })
    .await;
}
