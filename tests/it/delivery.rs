//! Tests of the delivery: the backend receives each result in spite of errors, lost connections and limits.

use mock_backend::{Endpoint, Fault, FaultKind};

use crate::support::{PASS, World, eventually};

#[tokio::test]
async fn result_is_retried_until_accepted() {
    let world = World::start().await;
    for kind in [
        FaultKind::status(500),
        FaultKind::retry_after(503, 1),
        FaultKind::DropBefore,
        FaultKind::CutBody,
        FaultKind::Html200,
        FaultKind::Garbage,
    ] {
        world.backend.fault(Fault::new(Endpoint::Result, kind.clone()));
        let id = world.submit(PASS);
        assert_eq!(world.answer(&id).await["isPassed"], true, "{kind:?}");
    }
    eventually("every fault was applied", || world.backend.faults().is_empty()).await;
}

#[tokio::test]
async fn unconfirmed_result_is_resent_unchanged() {
    let world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::DropAfter));
    let id = world.submit(PASS);
    world.answer(&id).await;
    eventually("the result is sent again", || world.backend.result_of(&id).unwrap().deliveries == 2).await;
    assert_eq!(
        world.backend.result_of(&id).unwrap().versions.len(),
        1,
        "the second delivery has another body"
    );
}

#[tokio::test]
async fn refused_result_does_not_block_others() {
    let world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(400)).times(2));
    let poisoned = world.submit(PASS);
    eventually("the result was refused twice", || world.backend.faults().is_empty()).await;
    let next = world.submit(PASS);
    assert_eq!(world.answer(&next).await["isPassed"], true);
    eventually("the refusal of the result is logged", || {
        let refused = world.runner.events("result_refused");
        refused.iter().any(|event| event["task.id"] == poisoned.as_json().trim_matches('"'))
    })
    .await;
}

#[tokio::test]
async fn result_obeys_storage_limits() {
    let world = World::with(mock_backend::Settings::default(), &["--max-cases", "50"]).await;
    let script = r#"
        { printf '<testsuite>'
          i=0; while [ $i -lt 80 ]; do printf '<testcase name="t%s"/>' $i; i=$((i+1)); done
          printf '<testcase name="last"><failure message="&#0;bad&#27;[31m">%s</failure></testcase></testsuite>' "$(head -c 40000 /dev/zero | tr '\0' 'x')"
        } > "$REPORT"; exit 1"#;
    let answer = world.answer(&world.submit(script)).await;
    let cases = answer["testResults"].as_array().unwrap();
    assert_eq!(cases.len(), 50);
    let last = cases.last().unwrap();
    assert_eq!(last["name"], "last", "the failed case was dropped");
    let description = last["description"].as_str().unwrap();
    assert!(description.len() <= 16 << 10 && description.contains("cut"), "{}", description.len());
    assert!(
        !description.contains('\u{0}') && !description.contains('\u{1b}') && !description.contains("[31m")
    );
    assert!(answer["errorDetails"].as_str().unwrap().contains("31"), "{}", answer["errorDetails"]);

    let long = format!("echo '{}' >&2; exit 1", "é".repeat(600));
    let answer = world.answer(&world.submit(&long)).await;
    assert!(answer["errorDetails"].as_str().unwrap().chars().count() <= 255);
    world.assert_clean();
}

#[tokio::test]
async fn repeated_empty_answers_count_as_receipts() {
    let mut world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::Empty).forever());
    world.submit(PASS);
    eventually("three empty answers count as a receipt", || world.runner.logged("empty_receipts_accepted"))
        .await;
    world.submit(PASS);
    world.runner.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(world.runner.ended(std::time::Duration::from_secs(10)).await.success());
    assert!(!world.runner.logged("stopped_with_results"));
}

#[tokio::test]
async fn single_empty_answer_is_not_a_receipt() {
    let world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::Empty));
    let id = world.submit(PASS);
    assert_eq!(world.answer(&id).await["isPassed"], true);
}

/// Number of requests that delivered a result.
fn posts(world: &World) -> usize {
    world.backend.requests().iter().filter(|request| request.endpoint == Some(Endpoint::Result)).count()
}

#[tokio::test]
async fn too_large_result_shrinks_without_pause() {
    let limits = mock_backend::Limits { body: Some(3_000), ..mock_backend::Limits::default() };
    let world = World::with(mock_backend::Settings { limits, ..Default::default() }, &[]).await;
    let script = r#"
        printf '<testsuite><testcase name="a"><failure message="m">%s</failure></testcase></testsuite>' \
            "$(head -c 12000 /dev/zero | tr '\0' 'x')" > "$REPORT"; exit 1"#;
    let answer = world.answer(&world.submit(script)).await;
    let description = answer["testResults"][0]["description"].as_str().unwrap();
    assert!((200..3_000).contains(&description.len()) && description.contains("cut"), "{description}");
    assert_eq!(posts(&world), 3, "the runner does not try 12,000, 3,000 and 750 bytes of description");
    assert!(!world.runner.logged("delivery_retried"), "the runner paused between the sizes");
}

#[tokio::test]
async fn unshrinkable_result_is_critical_and_retried_rarely() {
    let mut world = World::start().await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(413)).forever());
    let id = world.submit(PASS);
    world.runner.logs("result_too_large").await;
    // Each round sends the result with its case and without it. The next round starts up to 30 s later.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!((2..=8).contains(&posts(&world)), "{} requests within 3 s", posts(&world));
    assert_eq!(world.runner.events("result_too_large").len(), 1);
    world.backend.clear_faults();
    world.restart();
    let answer = world.answer(&id).await;
    assert_eq!(
        answer["testResults"].as_array().unwrap().len(),
        1,
        "the runner did not send the full result first: {answer}"
    );
}
