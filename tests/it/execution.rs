//! Tests of a task from claim to answer: each report, exit code and output of a suite becomes a correct answer.

use std::time::Duration;

use crate::support::{World, running, text};

#[tokio::test]
async fn passing_suite_is_success() {
    let world = World::start().await;
    let id = world.submit(r#"printf %s "$PASS" > "$REPORT""#);
    let answer = world.answer(&id).await;
    assert_eq!(answer["isPassed"], true);
    assert_eq!(answer["isError"], false);
    assert_eq!(answer["duration"], 250);
    assert_eq!(answer["testResults"][0]["name"], "sample::test_one");
    assert_eq!(answer["testResults"][0]["duration"], 125);
    assert_eq!(text(&answer, "errorDetails"), "");
    assert_eq!(answer["testResults"][0]["memoryUsed"], 0);
    assert_eq!(world.runner.logs("report_warning").await["kind"], "no_plugin");
    world.assert_clean();
}

#[tokio::test]
async fn keep_output_does_not_affect_checkout() {
    for size in ["1", "50", "200"] {
        let world = World::with(mock_backend::Settings::default(), &["--keep-output", size]).await;
        let script = r#"seq 1000; printf %s "$PASS" > "$REPORT""#;
        let answer = world.answer(&world.submit(script)).await;
        assert_eq!(answer["isPassed"], true, "{size}: {answer}");
        let kept = std::fs::read_dir(world.folder().join("state/kept")).unwrap().next().unwrap().unwrap();
        let output = std::fs::read_to_string(kept.path().join("suite-output.stdout")).unwrap_or_default();
        assert!(output.contains("bytes cut"), "{size}: {output}");
    }
}

#[tokio::test]
async fn failing_test_is_failure_not_error() {
    let world = World::start().await;
    let id = world.submit(r#"printf %s "$FAIL" > "$REPORT"; exit 1"#);
    let answer = world.answer(&id).await;
    assert_eq!((&answer["isPassed"], &answer["isError"]), (&false.into(), &false.into()));
    let description = answer["testResults"][0]["description"].as_str().unwrap();
    assert!(description.contains("boom") && description.contains("E   assert 1 == 2"), "{description}");
    world.assert_clean();
}

#[tokio::test]
async fn passing_report_does_not_hide_failed_exit() {
    let world = World::start().await;
    let id = world.submit(r#"printf %s "$PASS" > "$REPORT"; echo "internal error" >&2; exit 3"#);
    let answer = world.answer(&id).await;
    assert_eq!((&answer["isPassed"], &answer["isError"]), (&false.into(), &true.into()));
    let details = text(&answer, "errorDetails");
    assert_eq!(world.fault(&id), "execute/suite", "{details}");
    assert!(details.contains("exit code 3") && details.contains("internal error"), "{details}");
}

#[tokio::test]
async fn missing_report_shows_exit_and_last_output() {
    let world = World::start().await;
    let id = world.submit("echo 'collected 0 items'; echo 'fatal: no such module' >&2; exit 4");
    let answer = world.answer(&id).await;
    let details = text(&answer, "errorDetails");
    assert_eq!(answer["isError"], true);
    assert_eq!(answer["testResults"].as_array().unwrap().len(), 0);
    assert_eq!(world.fault(&id), "report/suite", "{details}");
    assert!(details.contains("exit code 4"), "{details}");
    assert!(details.contains("fatal: no such module"), "{details}");
}

#[tokio::test]
async fn rejects_reports_that_are_no_files() {
    let world = World::start().await;
    for script in [
        r#"ln -s /etc/passwd "$REPORT""#,
        r#"mkfifo "$REPORT""#,
        r#"mkdir "$REPORT""#,
        r#": > "$REPORT""#,
        r#"echo '<html></html>' > "$REPORT""#,
        r#"printf '<testsuite><testcase name="a"/><testcase na' > "$REPORT""#,
    ] {
        let id = world.submit(script);
        let answer = world.answer(&id).await;
        assert_eq!(answer["isError"], true, "{script}");
        assert_eq!(world.fault(&id), "report/suite", "{script}: {answer}");
    }
    world.assert_clean();
}

#[tokio::test]
async fn cut_report_keeps_complete_cases() {
    let world = World::start().await;
    let id = world
        .submit(r#"printf '<testsuite><testcase name="a"/><testcase name="b"/><testcase na' > "$REPORT""#);
    let answer = world.answer(&id).await;
    let names: Vec<_> =
        answer["testResults"].as_array().unwrap().iter().map(|case| case["name"].clone()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(answer["isPassed"], false);
}

#[tokio::test]
async fn command_line_carries_task_and_proxy_timeout() {
    let world = World::with(mock_backend::Settings::default(), &["--proxy-timeout", "2500ms"]).await;
    let show = r#"printf '<testsuite><testcase name="x"><failure>%s</failure></testcase></testsuite>' "$(echo "$ARGUMENTS" | tr '<>&' '...')" > "$REPORT""#;
    let arguments =
        |answer: serde_json::Value| answer["testResults"][0]["description"].as_str().unwrap().to_owned();
    let all = arguments(world.answer(&world.submit(show)).await);
    assert!(!all.contains("-k") && !all.contains("--lab"), "{all}");
    assert!(all.contains(r#""--proxy_timeout", "3""#), "{all}");
    let chosen = world.submit_with(show, |task| task.labs(&[1, 2]).tests(["test_a[2-SIGINT]", "test_b"]));
    let chosen = arguments(world.answer(&chosen).await);
    assert!(chosen.contains(r#""-k", "test_a[2-SIGINT] or test_b", "--lab-num", "1", "2""#), "{chosen}");
}

#[tokio::test]
async fn empty_selection_is_error_empty_suite_failure() {
    let world = World::start().await;
    let empty = r#"printf '<testsuite tests="0"/>' > "$REPORT""#;
    let chosen = world.submit_with(empty, |task| task.tests(["test_gone"]));
    let answer = world.answer(&chosen).await;
    assert_eq!(answer["isError"], true);
    assert_eq!(world.fault(&chosen), "execute/task");
    assert!(text(&answer, "errorDetails").contains("test_gone"), "{answer}");
    let answer = world.answer(&world.submit(empty)).await;
    assert_eq!((&answer["isPassed"], &answer["isError"]), (&false.into(), &false.into()));
}

#[tokio::test]
async fn refuses_test_name_that_is_expression() {
    let world = World::start().await;
    let id = world.submit_with("exit 0", |task| task.tests(["fine", "a or b"]));
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true);
    let details = text(&answer, "errorDetails");
    assert!(details.contains("connectedTests") && details.contains("a or b"), "{details}");
}

#[tokio::test]
async fn timeout_reports_finished_tests_and_kills_rest() {
    let world = World::with(mock_backend::Settings::default(), &["--timeout", "1500ms"]).await;
    let mark = format!("mark-{}", fastrand::u64(..));
    // Like pytest, the report lists the interrupted test as passed.
    let cases = r#"<testsuite><testcase name=\"done\"/><testcase time=\"0.1\"/></testsuite>"#;
    let script = format!(
        "export MARK={mark}; trap 'echo \"{cases}\" > \"$REPORT\"; exit 2' INT; (setsid sleep 300 &); while :; do sleep 0.05; done"
    );
    let id = world.submit(&script);
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true);
    let details = text(&answer, "errorDetails");
    assert_eq!(world.fault(&id), "execute/limit", "{details}");
    assert!(details.contains("1.5 s") && details.contains("1 test"), "{details}");
    assert_eq!(answer["testResults"][0]["isPassed"], true);
    assert_eq!(answer["testResults"][1]["isPassed"], false, "the interrupted test is reported as passed");
    assert!(answer["duration"].as_u64().unwrap() >= 1_500, "{answer}");
    assert!(!running(&mark), "a grandchild of the suite still runs");
    world.assert_clean();
}

#[tokio::test]
async fn timeout_zero_means_no_limit() {
    let world = World::with(mock_backend::Settings::default(), &["--timeout", "0"]).await;
    let id = world.submit(r#"sleep 1; printf %s "$PASS" > "$REPORT""#);
    assert_eq!(world.answer(&id).await["isPassed"], true);
}

#[tokio::test]
async fn killed_suite_is_error_with_signal() {
    let world = World::start().await;
    let id = world.submit(r#"printf %s "$PASS" > "$REPORT"; kill -9 $PPID"#);
    let answer = world.answer(&id).await;
    assert_eq!(answer["isError"], true);
    let ended = world.runner.logs("task_ended").await;
    assert!(ended["exit"].as_str().unwrap().contains("SIGKILL"), "{ended}");
    assert!(text(&answer, "errorDetails").contains("SIGKILL"), "{answer}");
}

#[tokio::test]
async fn tasks_get_own_suite_and_no_secrets() {
    let world = World::with(
        mock_backend::Settings { auth: true, ..mock_backend::Settings::default() },
        &["--auth", "--password", "dora_explorer"],
    )
    .await;
    let spoil = r#"echo spoilt > "$(dirname "$REPORT")/suite/helper.txt"; printf %s "$PASS" > "$REPORT""#;
    assert_eq!(world.answer(&world.submit(spoil)).await["isPassed"], true);
    let look = r#"
        grep -q spoilt "$(dirname "$REPORT")/suite/helper.txt" && exit 9
        env | grep -qi dora && exit 8
        printf %s "$PASS" > "$REPORT""#;
    let answer = world.answer(&world.submit(look)).await;
    assert_eq!(answer["isPassed"], true, "{answer}");
}

#[tokio::test]
async fn removed_checkout_ends_run() {
    let world = World::start().await;
    let id = world.submit(r#"cd /; rm -rf "$OLDPWD"; sleep 300"#);
    let started = std::time::Instant::now();
    let answer = world.answer(&id).await;
    assert_eq!(world.fault(&id), "execute/program", "{answer}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn runs_free_command_line_as_given() {
    let command = "sh -c 'cp {src}/report.xml {report}; test \"$0\" = lab7' lab{lab}";
    let world = World::with(mock_backend::Settings::default(), &["--test-command", command]).await;
    let repository = crate::support::Repository::init(&world.fresh("student"));
    repository.commit(&[("report.xml", r#"<testsuite><testcase name="own"/></testsuite>"#)]);
    let id = world.backend.submit(mock_backend::NewTask::new(&repository.url(), "main").lab(7));
    let answer = world.answer(&id).await;
    assert_eq!(
        (&answer["isPassed"], &answer["testResults"][0]["name"]),
        (&true.into(), &"own".into()),
        "{answer}"
    );
}

#[tokio::test]
async fn picks_thousands_of_tests_from_report() {
    let world = World::start().await;
    let script = r#"case "$ARGUMENTS" in *'"-k"'*) exit 9;; esac
        printf '<testsuite><testcase classname="tests.a" name="test_7"/><testcase name="other"><failure/></testcase></testsuite>' > "$REPORT"; exit 1"#;
    let names: Vec<String> = (0..5_000).map(|number| format!("test_{number}")).collect();
    let id = world.submit_with(script, |task| task.tests(&names));
    let answer = world.answer(&id).await;
    assert_eq!(answer["testResults"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!((&answer["testResults"][0]["name"], &answer["isPassed"]), (&"a::test_7".into(), &true.into()));
}
