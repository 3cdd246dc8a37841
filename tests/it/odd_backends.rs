//! Tests with backends that break the protocol in ways that the mock backend cannot.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::observing::{address, becomes, get};
use crate::support::{Ran, Runner, command, eventually};

/// A server that maps the first line of a request to a status and a body.
struct Odd {
    url: String,
    /// The first line of each request so far.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Odd {
    async fn start(answer: impl Fn(&str) -> (u16, String) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let requests_log = requests.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (answer, requests_log) = (answer.clone(), requests_log.clone());
                tokio::spawn(async move { exchange(client, answer, &requests_log).await });
            }
        });
        Self { url, requests }
    }

    /// Number of requests whose first line contains `path`.
    fn count(&self, path: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|line| line.contains(path)).count()
    }
}

/// Answers one request per connection. The requests of these tests arrive in one piece.
async fn exchange(
    mut client: TcpStream,
    answer: impl Fn(&str) -> (u16, String),
    requests_log: &Mutex<Vec<String>>,
) {
    let mut request = vec![0; 64 << 10];
    let count = client.read(&mut request).await.unwrap_or(0);
    let text = String::from_utf8_lossy(&request[..count]).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    let (status, body) = answer(&line);
    requests_log.lock().unwrap().push(line);
    let length = body.len();
    let top = format!("HTTP/1.1 {status} Odd\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    client.write_all(format!("{top}{body}").as_bytes()).await.ok();
}

fn runner(home: &TempDir, backend: &Odd, more: &[&str]) -> Runner {
    let arguments = [&["--mock", "--check-interval", "50ms"], more].concat();
    Runner::start(home.path(), &backend.url, &arguments)
}

#[tokio::test]
async fn doctor_distinguishes_refused_login_from_broken_backend() {
    let home = TempDir::new().unwrap();
    let token = r#"{"type":"Bearer","accessToken":"a","refreshToken":"b"}"#;
    let (passwords, curl) = (&["--login", "--password-file"][..], "curl -i URL/api/v1/login");
    let wrong_route = &[curl, "--backend-url", "--login-api"][..];
    for (login, options, remedies) in [
        ((401, "no"), 405, passwords),
        ((400, "no"), 405, passwords),
        ((503, "<html>maintenance"), 405, &[curl]),
        ((404, ""), 405, wrong_route),
        ((200, "<html>welcome"), 405, wrong_route),
        ((200, token), 501, &[]),
    ] {
        let odd = Odd::start(move |line| {
            if line.contains("login") { (login.0, login.1.to_owned()) } else { (options, String::new()) }
        })
        .await;
        let mut doctor = command(home.path());
        doctor.args(["doctor", "--json", "--mock", "--auth", "--backend-url", &odd.url]);
        let output = Ran::beside(doctor).await;
        let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let check = |name: &str| {
            let found = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == name);
            let found = found.unwrap_or_else(|| panic!("no {name} in {report:#}"));
            ["state", "says", "mend"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
        };
        let [state, message, remedy] = check("login");
        let remedy = remedy.replace(&odd.url, "URL");
        assert!(remedies.iter().all(|part| remedy.contains(part)), "{login:?}: {message}: {remedy}");
        assert_eq!(remedy.contains("--backend-url"), remedies == wrong_route, "{login:?}: {remedy}");
        assert_eq!(state == "ok", remedies.is_empty(), "{login:?}");
        assert_eq!(
            check("backend")[0],
            "ok",
            "{login:?}: the backend is not reported as reachable: {report:#}"
        );
    }
}

#[tokio::test]
async fn logs_backend_answers_without_passwords() {
    let home = TempDir::new().unwrap();
    let url = r#""repositoryUrl":"http://u:secretpw@127.0.0.1:1/x.git""#;
    let padding = "x".repeat(80);
    let answers = [
        (200, format!(r#"{{"marked":1,{url}}}"#)),
        (200, r#""http://u:secretpw@127.0.0.1:1/x.git marked2""#.to_owned()),
        (500, format!(r#"{{"marked":3,{url}}}"#)),
        // The log cuts this body inside the password.
        (500, format!(r#"{{"marked":4,"padding":"{padding}",{url},"long":"{padding}{padding}"}}"#)),
        (200, r#"{"marked":5,"repositoryUrl":"http:\/\/u:secretpw@127.0.0.1:1\/x.git"}"#.to_owned()),
        (200, r#"{"marked":6,"repositoryUrl":"http://u:secretpw"#.to_owned()),
        (200, format!(r#"{{"id":7,"branch":{{"marked":7,{url}}},"repositoryUrl":"https://h/r.git"}}"#)),
    ];
    let next = Arc::new(Mutex::new(answers.into_iter()));
    let backend = Odd::start(move |line| match line {
        line if line.contains("available") => {
            next.lock().unwrap().next().unwrap_or((200, r#"{"status":"UNAVAILABLE"}"#.to_owned()))
        }
        _ => (500, r#"{"marked8":"http://u:secretpw@127.0.0.1:1/x.git"}"#.to_owned()),
    })
    .await;
    let runner = runner(&home, &backend, &[]);
    for mark in [
        "\"marked\":1,",
        "marked2",
        "\"marked\":3,",
        "\"marked\":4,",
        "\"marked\":5,",
        "\"marked\":6,",
        "marked\":7",
        "marked8",
    ] {
        let unescaped = || runner.log().replace('\\', "");
        eventually(mark, || unescaped().contains(mark)).await;
    }
    let log = runner.log();
    let leaks: Vec<&str> = log.lines().filter(|line| line.contains("secr")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[tokio::test]
async fn unusable_token_is_failed_login() {
    let home = TempDir::new().unwrap();
    let backend = Odd::start(|line| match line {
        line if line.contains("/login") => (200, r#"{"accessToken":"aa\nbb","refreshToken":"r"}"#.to_owned()),
        _ => (200, r#"{"status":"UNAVAILABLE"}"#.to_owned()),
    })
    .await;
    let runner = runner(&home, &backend, &["--auth", "--request-timeout", "2"]);
    eventually("the runner logs in again", || backend.count("/login") >= 2).await;
    let failed = runner.logs("login_failed").await;
    assert!(failed["error"].as_str().unwrap().contains("accessToken"), "{failed}");
    let log = runner.log();
    assert!(!log.contains("aa") && !log.contains("builder error"), "{log}");
    assert_eq!(backend.count("available"), 0, "the runner polled without a token");
    // The pauses are 1 s, then up to 1, 2 and 4 s.
    assert!(backend.count("/login") <= 5, "{}", backend.count("/login"));
}

#[tokio::test]
async fn unusable_claim_answers_make_unready() {
    let home = TempDir::new().unwrap();
    let now = Arc::new(Mutex::new((302, String::new())));
    let answer = now.clone();
    let backend = Odd::start(move |_| answer.lock().unwrap().clone()).await;
    let runner = runner(&home, &backend, &["--listen", "127.0.0.1:0"]);
    let address = address(&runner).await;
    becomes(address, "/readyz", 503, "ok credentials: ").await;
    for (status, body, ready, part) in [
        (302, "", 503, "302"),
        (429, "{}", 200, "ok backend: "),
        (200, "<html>log in", 503, "failing backend: "),
        (204, "", 200, "ok backend: "),
        (405, "", 503, "405"),
        (400, "{}", 503, "400"),
        (200, r#"{"status":"UNAVAILABLE"}"#, 200, "ok credentials: "),
    ] {
        *now.lock().unwrap() = (status, body.to_owned());
        becomes(address, "/readyz", ready, part).await;
    }
}

#[tokio::test]
async fn refused_fresh_token_is_logged_once() {
    let home = TempDir::new().unwrap();
    let backend = Odd::start(|line| match line {
        line if line.contains("/api/v1/") => (200, r#"{"accessToken":"a","refreshToken":"r"}"#.to_owned()),
        _ => (401, String::new()),
    })
    .await;
    let runner = runner(&home, &backend, &["--auth", "--listen", "127.0.0.1:0"]);
    eventually("the runner has polled several times", || backend.count("available") >= 4).await;
    let [refused] = runner.events("token_refused").try_into().unwrap();
    assert_eq!((&refused["level"], &refused["route"]), (&"critical".into(), &"/api/task/available".into()));
    let ready = get(address(&runner).await, "/readyz").await.1;
    assert!(ready.contains("failing credentials"), "{ready}");
}

#[tokio::test]
async fn backend_answers_cannot_forge_log_lines() {
    let home = TempDir::new().unwrap();
    let hostile = "x\n<2>2026-11-22T21:00:00Z ERROR forged \u{1b}]0;title\u{7}\u{1b}[2J\u{9b}1m";
    let backend = Odd::start(move |_| (200, hostile.to_owned())).await;
    let runner = runner(&home, &backend, &["--log-format", "text"]);
    eventually("the event is logged", || runner.log().contains("forged")).await;
    let log = runner.log();
    assert!(log.contains("forged"), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{log:?}");
    assert!(log.lines().all(|line| line.starts_with("20")), "{log}");
}

#[tokio::test]
async fn echoed_secrets_are_masked() {
    let home = TempDir::new().unwrap();
    let logged_in = Arc::new(Mutex::new(false));
    let now = logged_in.clone();
    let backend = Odd::start(move |line| match line {
        line if line.contains("/api/v1/") && *now.lock().unwrap() => {
            (200, r#"{"accessToken":"accessWord","refreshToken":"refreshWord"}"#.to_owned())
        }
        line if line.contains("/api/v1/") => {
            (400, r#"{"error":"rejected value: {'password': 'pass\"Word'} or pass"Word"}"#.to_owned())
        }
        line if line.contains("available") => (200, "marked: Bearer accessWord".to_owned()),
        _ => (500, String::new()),
    })
    .await;
    let more = ["--auth", "--listen", "127.0.0.1:0", "--password", "pass\"Word"];
    let runner = runner(&home, &backend, &more);
    let address = address(&runner).await;
    becomes(address, "/readyz", 503, "rejected value: {'password': '***'} or ***").await;
    *logged_in.lock().unwrap() = true;
    eventually("the runner polls with a token", || runner.log().contains("marked: Bearer ***")).await;
    let log = runner.log();
    assert!(runner.logged("login_refused") && !log.contains("Word"), "{log}");
}

#[tokio::test]
async fn long_branch_is_shortened_in_log() {
    let home = TempDir::new().unwrap();
    let task = format!(r#"{{"id":1,"branch":"{}","repositoryUrl":"https://h/r.git"}}"#, "b".repeat(50_000));
    let next = Mutex::new(Some(task));
    let next = Arc::new(next);
    let backend = Odd::start(move |line| match line {
        line if line.contains("available") => (200, next.lock().unwrap().take().unwrap_or_default()),
        _ => (200, r#"{"id":1}"#.to_owned()),
    })
    .await;
    let runner = runner(&home, &backend, &[]);
    eventually("the task ends", || runner.logged("task_ended")).await;
    let log = runner.log();
    let longest = log.lines().map(str::len).max().unwrap_or(0);
    let started = runner.logs("task_started").await;
    assert!(started["branch"].as_str().unwrap().starts_with("bbb") && longest < 2000, "{longest}");
}
