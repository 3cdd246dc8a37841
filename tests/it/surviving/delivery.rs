//! Tests of results that the backend does not accept at once.

use std::time::Duration;

use mock_backend::{Endpoint, Fault, FaultKind, Settings};
use nix::sys::signal::Signal;

use super::spool::{spool, spool_command, wait_for_empty_spool};
use crate::support::{PASS, World, eventually};

#[tokio::test]
async fn result_waits_on_disk_for_backend() {
    let mut world = World::start().await;
    let id = world.submit(&format!("sleep 0.5; {PASS}"));
    eventually("the task runs", || world.runner.logged("task_started")).await;
    world.backend.go_down().await;
    eventually("the result is on disk", || spool(&world, "results").len() == 1).await;
    world.runner.signal(Signal::SIGTERM);
    assert!(world.runner.ended(Duration::from_secs(15)).await.success());
    assert!(world.runner.logged("stopped_with_results"));
    world.backend.come_back().await.unwrap();
    world.restart();
    assert_eq!(world.answer(&id).await["isPassed"], true);
    wait_for_empty_spool(&world).await;
}

#[tokio::test]
async fn refused_result_can_be_retried_by_hand() {
    let world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(422)).times(2));
    let id = world.submit(PASS);
    eventually("the result is kept", || spool(&world, "rejected").len() == 1).await;
    let listed = String::from_utf8(spool_command(&world, &["list"]).stdout).unwrap();
    assert!(listed.contains(id.as_json().trim_matches('"')) && listed.contains("422"), "{listed}");
    let shown =
        String::from_utf8(spool_command(&world, &["show", id.as_json().trim_matches('"')]).stdout).unwrap();
    assert!(shown.contains("422") && shown.contains("isPassed"), "{shown}");
    assert!(spool_command(&world, &["retry", id.as_json().trim_matches('"')]).status.success());
    assert_eq!(
        world.answer(&id).await["isPassed"],
        true,
        "the running runner does not find the retried result"
    );
    wait_for_empty_spool(&world).await;
}

#[tokio::test]
async fn poisonous_result_does_not_block_others() {
    // Like the deployed backend with 256 characters, the mock answers each such result with status 500.
    let limits = mock_backend::Limits { error_details: 10, ..mock_backend::Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }, &[]).await;
    world.submit("exit 3");
    eventually("the result is refused", || !world.backend.refusals().is_empty()).await;
    for _ in 0..3 {
        assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    }
    eventually("the poisonous result is logged", || world.runner.logged("delivery_poisoned")).await;
    assert_eq!(spool(&world, "results").len(), 1, "the result is not kept");
}

#[tokio::test]
async fn too_large_result_is_sent_smaller() {
    let limits = mock_backend::Limits { body: Some(6_000), ..mock_backend::Limits::default() };
    let world = World::with(Settings { limits, ..Settings::default() }, &[]).await;
    let script = r#"
        printf '<testsuite><testcase name="a"><failure message="m">%s</failure></testcase><testcase name="b"/></testsuite>' \
            "$(head -c 15000 /dev/zero | tr '\0' x)" > "$REPORT"; exit 1"#;
    let answer = world.answer(&world.submit(script)).await;
    assert_eq!(answer["testResults"].as_array().unwrap().len(), 2);
    assert!(answer["testResults"][0]["description"].as_str().unwrap().contains("cut"), "{answer}");
    wait_for_empty_spool(&world).await;
}
