//! Seeing inside a running runner: `--listen`, `healthcheck`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mock_backend::{Endpoint, Fault, FaultKind, NewTask, Settings, User};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::{
    PASS, PATIENCE, Runner, SmallDisk, World, command, eventually, have, scripted_suite, student,
};

const FAIL: &str = r#"printf %s "$FAIL" > "$REPORT""#;

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// Where the runner listens, as its log says.
pub async fn address(runner: &Runner) -> SocketAddr {
    runner.logs("listening").await["address"].as_str().unwrap().parse().unwrap()
}

/// Sends a head and reads what comes until the end: status, head, body.
async fn exchange(address: SocketAddr, head: &str) -> (u16, String, String) {
    let work = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = timeout(PATIENCE, work).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_ascii_lowercase(), body.to_owned())
}

pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    (status, body)
}

pub async fn page(address: SocketAddr) -> String {
    let head = "GET /status HTTP/1.1\r\nhost: x\r\naccept: text/html,application/xhtml+xml\r\n\r\n";
    let (status, head, body) = exchange(address, head).await;
    assert!(status == 200 && head.contains("content-type: text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    body
}

pub async fn status(address: SocketAddr) -> Value {
    serde_json::from_str(&get(address, "/status").await.1).unwrap()
}

/// Waits until `path` answers `wanted` with a body that holds `says`.
pub async fn becomes(address: SocketAddr, path: &str, wanted: u16, says: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let (status, body) = get(address, path).await;
        if status == wanted && body.contains(says) {
            return;
        }
        assert!(Instant::now() < end, "{path} is {status}, not {wanted} with {says:?}:\n{body}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The value of one series.
pub fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is missing:\n{metrics}")).parse().unwrap()
}

/// Has `promtool` look at metrics, where it is installed.
#[expect(clippy::disallowed_methods, reason = "a tool of the tests")]
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
    let said = tool.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success() && words.is_empty(), "{words}");
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let arguments = [&LISTEN[..], &["--concurrent", "2", "--timeout", "2"]].concat();
    let world = World::with(Settings::default(), &arguments).await;
    let address = address(&world.runner).await;
    world.backend.fault(Fault::new(Endpoint::Result, FaultKind::status(503)).times(2));
    // Connects, and says nothing for ever.
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
    // With a PID namespace or a user of the task's own nothing is left over that anybody could count.
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
    // Nobody told which case it was.
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
    for named in page.split('`').filter(|word| word.starts_with("ostest_runner_") && !word.contains('{')) {
        assert!(metrics.contains(&format!("# TYPE {named} ")), "{named} is documented and not there");
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

#[tokio::test]
async fn lost_backend_makes_unready_but_healthy() {
    let world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await;
    becomes(address, "/readyz", 200, "ok suite: ").await;
    world.backend.fault(Fault::new(Endpoint::Claim, FaultKind::status(502)).times(4));
    becomes(address, "/readyz", 503, "failing backend: ").await;
    becomes(address, "/readyz", 200, "ok backend").await;
    world.backend.go_down().await;
    becomes(address, "/readyz", 503, "failing backend: /api/task/available").await;
    assert_eq!(get(address, "/healthz").await.0, 200);
}

#[tokio::test]
async fn ready_from_warm_up_until_drain() {
    let folder = tempfile::tempdir().unwrap();
    let absent = format!("file://{}/suite", folder.path().display());
    let mut world =
        World::with(Settings::default(), &[&LISTEN[..], &["--tests-url", &absent]].concat()).await;
    let address = address(&world.runner).await;
    becomes(address, "/readyz", 503, "failing suite: ").await;
    becomes(address, "/readyz", 503, "failing loop: ").await;
    // Nothing was asked before there is a suite.
    becomes(address, "/readyz", 503, "ok credentials: ").await;
    becomes(address, "/healthz", 200, "ok loop: ").await;
    scripted_suite(&folder.path().join("suite"));
    becomes(address, "/readyz", 200, "ok loop").await;
    let id = world.submit(&format!("sleep 2; {PASS}"));
    eventually("it runs", || world.runner.logged("task_started")).await;
    world.runner.signal(nix::sys::signal::Signal::SIGTERM);
    becomes(address, "/readyz", 503, "failing loop: ").await;
    becomes(address, "/healthz", 200, "ok loop: ").await;
    assert_eq!(world.answer(&id).await["isPassed"], true);
    assert!(world.runner.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn full_disk_is_unhealthy_until_freed() {
    let Some(disk) = SmallDisk::new("40m") else { return };
    let state = disk.path().join("state");
    let work = tempfile::tempdir().unwrap();
    let arguments =
        [&LISTEN[..], &["--state-dir", state.to_str().unwrap(), "--work-dir", work.path().to_str().unwrap()]]
            .concat();
    let world = World::with(Settings::default(), &arguments).await;
    let address = address(&world.runner).await;
    becomes(address, "/healthz", 200, "ok disk").await;
    becomes(address, "/readyz", 200, "ok disk").await;
    let filled = disk.fill();
    becomes(address, "/healthz", 503, "failing disk: ").await;
    becomes(address, "/readyz", 503, "failing disk: ").await;
    assert!(value(&get(address, "/metrics").await.1, "ostest_runner_polls_total{outcome=\"no_room\"}") > 0.0);
    let check = healthcheck(&["--url", &format!("http://{address}")]);
    assert_eq!(check.0, Some(1), "{}", check.1);
    std::fs::remove_file(filled).unwrap();
    becomes(address, "/healthz", 200, "ok disk").await;
}

#[tokio::test]
async fn status_shows_tasks_and_escapes_input() {
    let world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await;
    let hostile = "<script>alert(\"x\")</script>&\u{202e}";
    let repository = student(&world.fresh("hostile"), "sleep 3; exit 7");
    let claim = serde_json::json!({"id": hostile, "status": "PENDING", "repositoryUrl": repository.url(),
        "branch": "main", "laboratories": [], "connectedTests": []});
    let find = |status: &Value| status["working"].as_array().unwrap().first().cloned();
    world.backend.submit_raw(claim.to_string());
    let end = Instant::now() + PATIENCE;
    loop {
        let status = status(address).await;
        // The spool is looked at once a second.
        let spooled = status["spool"]["claimed"] == 1;
        if find(&status).is_some_and(|task| task["progress"] == "execute") && spooled {
            assert_eq!(status["working"][0]["task"], hostile);
            assert_eq!(status["slots"]["busy"], 1);
            break;
        }
        assert!(Instant::now() < end, "{status:#}");
        sleep(Duration::from_millis(50)).await;
    }
    let running = page(address).await;
    eventually("it is answered", || !world.backend.results().is_empty()).await;
    let last = loop {
        let status = status(address).await;
        if status["last"][0]["delivery"]["state"] == "accepted" {
            break status["last"][0].clone();
        }
        assert!(Instant::now() < end, "{status:#}");
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(
        (&last["verdict"], &last["fault"]["progress"]),
        (&"ERROR".into(), &"report".into()),
        "{last:#}"
    );
    assert!(last["times"]["execute"].as_f64().unwrap() > 1.5, "{last:#}");
    for page in [running, page(address).await] {
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert!(
            !page.contains('\u{202e}') && !page.contains("http://") && !page.contains("https://"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn slow_and_hostile_clients_do_not_block() {
    let world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await;
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /status HTTP/1.1\r\nx-slow: ").await.ok();
        }
        slow.push(stream);
    }
    let started = Instant::now();
    assert_eq!(get(address, "/healthz").await.0, 200);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let open = value(&get(address, "/metrics").await.1, "process_open_fds");
    assert!(open < 100.0, "{open} descriptors");
    let many = "x: y\r\n".repeat(10_000);
    let (status, ..) = exchange_lossy(address, &format!("GET /status HTTP/1.1\r\n{many}\r\n")).await;
    assert!(matches!(status, 0 | 400 | 431), "{status}");
    for (head, wanted) in [
        ("POST /status HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 405),
        ("DELETE / HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        ("GET /nothing/../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("\r\n\r\nnonsense\r\n\r\n", 400),
    ] {
        assert_eq!(exchange(address, head).await.0, wanted, "{head}");
    }
    let (status, head, body) = exchange(address, "HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(status == 200 && body.is_empty() && head.contains("content-length: "), "{head}\n{body}");
    // Those that are left are closed for being slow.
    let last = slow.last_mut().unwrap();
    let closed = timeout(Duration::from_secs(20), last.read(&mut [0; 16])).await;
    assert!(closed.is_ok(), "a silent connection stays open");
}

/// Like [`exchange`], for what the other side may cut short.
async fn exchange_lossy(address: SocketAddr, head: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.ok();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

#[tokio::test]
async fn port_in_use_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path()).args(["--mock", "--listen", &address]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("--listen {address}: ")), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let output = command(home.path()).args(["--listen", "9180"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--listen"));
}

fn healthcheck(arguments: &[&str]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    // A proxy is for the world outside.
    let proxy = ("http_proxy", "http://127.0.0.1:1");
    let output =
        command(home.path()).env(proxy.0, proxy.1).arg("healthcheck").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn healthcheck_asks_running_runner() {
    let mut world = World::with(Settings::default(), &LISTEN).await;
    let address = address(&world.runner).await.to_string();
    assert_eq!(healthcheck(&["--listen", &address]), (Some(0), String::new()));
    assert_eq!(
        healthcheck(&["--listen", &address.replace("127.0.0.1", "0.0.0.0")]),
        (Some(0), String::new())
    );
    assert_eq!(healthcheck(&["--url", &format!("http://{address}/healthz")]), (Some(0), String::new()));
    let (code, words) = healthcheck(&[]);
    assert_eq!((code, words.lines().count()), (Some(2), 1), "{words}");
    assert!(words.contains("--listen"), "{words}");
    world.runner.signal(nix::sys::signal::Signal::SIGSTOP);
    let (code, words) = healthcheck(&["--listen", &address]);
    assert_eq!((code, words.lines().count()), (Some(1), 1), "{words}");
    world.runner.kill();
    let (code, words) = healthcheck(&["--listen", &address]);
    assert_eq!((code, words.lines().count()), (Some(1), 1), "{words}");
}
