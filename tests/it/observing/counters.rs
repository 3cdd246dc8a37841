//! Tests of the metrics: their values after known events, and that every metric is documented.

use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind, NewTask, Settings, User};
use tokio::time::sleep;

use super::http::{LISTEN, address, becomes, get, value};
use crate::support::{PASS, PATIENCE, World, have};

const FAIL: &str = r#"printf %s "$FAIL" > "$REPORT""#;

/// Fails the test if `promtool` is installed and finds an error in the metrics.
#[expect(clippy::disallowed_methods, reason = "the test runs promtool")]
fn assert_promtool_clean(metrics: &str) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    if !have("promtool", "--no-install-recommends prometheus") {
        return;
    }
    let (input, output) = (Stdio::piped(), Stdio::piped());
    let mut tool = Command::new("promtool");
    tool.args(["check", "metrics"]).stdin(input).stderr(output).stdout(Stdio::null());
    let mut tool = tool.spawn().unwrap();
    tool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{errors}");
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let arguments = [&LISTEN[..], &["--concurrent", "2", "--timeout", "2"]].concat();
    let world = World::with(Settings::default(), &arguments).await;
    let address = address(&world.runner).await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(503)).times(2));
    // This server accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = NewTask::new(&format!("http://{}/x.git", silent.local_addr().unwrap()), "main");
    let missing = NewTask::new(&format!("file://{}/none", world.folder().display()), "main");
    let scripts = [PASS, PASS, FAIL, "sleep 60"];
    let mut ids: Vec<_> = scripts.iter().map(|script| world.submit(script)).collect();
    ids.push(world.backend.submit(missing));
    ids.push(world.backend.submit(silent));
    for id in &ids {
        world.answer(id).await;
    }
    let end = Instant::now() + PATIENCE;
    let metrics = loop {
        let metrics = get(address, "/metrics").await.1;
        if value(&metrics, "ostest_runner_deliveries_total{outcome=\"accepted\"}") >= 6.0
            && value(&metrics, "ostest_runner_slots_busy") < 1.0
        {
            break metrics;
        }
        assert!(Instant::now() < end, "{metrics}");
        sleep(Duration::from_millis(100)).await;
    };
    for (series, wanted) in [
        ("claims_total", 6.0),
        ("resumed_total", 0.0),
        ("polls_total{outcome=\"task\"}", 6.0),
        ("results_total{verdict=\"SUCCESS\"}", 2.0),
        ("results_total{verdict=\"FAILURE\"}", 1.0),
        ("results_total{verdict=\"ERROR\"}", 3.0),
        ("faults_total{progress=\"execute\",cause=\"limit\"}", 1.0),
        ("faults_total{progress=\"checkout\",cause=\"task\"}", 1.0),
        ("deliveries_total{outcome=\"accepted\"}", 6.0),
        ("deliveries_total{outcome=\"rejected\"}", 0.0),
        ("delivery_attempts_total", 8.0),
        ("delivery_retries_total", 2.0),
        ("slots", 2.0),
        ("children_stopped_total{reason=\"deadline\"}", 1.0),
        ("children_stopped_total{reason=\"abandoned\"}", 1.0),
        ("faults_total{progress=\"checkout\",cause=\"limit\"}", 1.0),
        ("progress_duration_seconds_count{progress=\"checkout\"}", 6.0),
        ("progress_duration_seconds_count{progress=\"execute\"}", 4.0),
        ("progress_duration_seconds_count{progress=\"deliver\"}", 6.0),
        ("progress_duration_seconds_bucket{progress=\"deliver\",le=\"+Inf\"}", 6.0),
        ("task_duration_seconds_count", 6.0),
        ("task_cpu_seconds_count", 4.0),
        ("spool_files{folder=\"claimed\"}", 0.0),
        ("healthy", 1.0),
        ("ready", 1.0),
    ] {
        let found = value(&metrics, &format!("ostest_runner_{series}"));
        assert!((found - wanted).abs() < 0.1, "{series}: {found}, not {wanted}\n{metrics}");
    }
    assert!(value(&metrics, "ostest_runner_polls_total{outcome=\"empty\"}") > 0.0);
    assert!(value(&metrics, "process_resident_memory_bytes") > 1e6);
    assert!(metrics.contains("ostest_runner_sandbox_info{level=\"none\",pidns=\"no\""), "{metrics}");
    assert_promtool_clean(&metrics);
    every_metric_is_documented(&metrics);
}

#[tokio::test]
async fn counts_limits_and_leftovers() {
    // A PID namespace or a separate user leaves no processes to count, so use no sandbox.
    let world = World::with(Settings::default(), &LISTEN).await;
    let id = world.submit(&format!("(setsid sleep 300 >/dev/null 2>&1 &); sleep 0.2; {PASS}"));
    assert_eq!(world.answer(&id).await["isPassed"], true);
    let metrics = get(address(&world.runner).await, "/metrics").await.1;
    assert!(value(&metrics, "ostest_runner_leftover_processes_total") > 0.0, "{metrics}");
    assert_promtool_clean(&metrics);

    let arguments = [&LISTEN[..], &["--memory", "64M"]].concat();
    let world = World::with(Settings::default(), &arguments).await.confined("basic", None);
    let hungry = world.submit(&format!("head -c 400000000 /dev/zero | tail >/dev/null; {FAIL}"));
    let answer = world.answer(&hungry).await;
    // The suite has no plugin that names the current case, so the limit is reported in the failed case.
    let description = answer["testResults"][0]["description"].as_str().unwrap();
    let (limit, rest) = description.split_once('\n').unwrap();
    assert!(limit.contains("64 MB") && rest.starts_with("boom"), "{answer}");
    let metrics = get(address(&world.runner).await, "/metrics").await.1;
    assert!(value(&metrics, "ostest_runner_limits_hit_total{limit=\"memory\"}") > 0.0, "{metrics}");
    assert_promtool_clean(&metrics);
}

fn every_metric_is_documented(metrics: &str) {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let missing: Vec<_> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in page.split('`').filter(|word| word.starts_with("ostest_runner_") && !word.contains('{')) {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} is documented but missing");
    }
}

#[tokio::test]
async fn counts_logins_by_outcome() {
    let settings = Settings { auth: true, ..Settings::default() };
    let arguments = [&LISTEN[..], &["--auth", "--password", "wrong"]].concat();
    let world = World::with(settings, &arguments).await;
    let address = address(&world.runner).await;
    becomes(address, "/readyz", 503, "failing credentials: /api/v1/login: ").await;
    becomes(address, "/healthz", 200, "ok loop").await;
    world.backend.add_user(User::admin("dora_explorer", "wrong"));
    becomes(address, "/readyz", 200, "ok credentials: ").await;
    let metrics = get(address, "/metrics").await.1;
    assert!(value(&metrics, "ostest_runner_logins_total{outcome=\"refused\"}") > 0.0);
    assert!((value(&metrics, "ostest_runner_logins_total{outcome=\"accepted\"}") - 1.0).abs() < 0.1);
}
