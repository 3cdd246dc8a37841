//! Tests of the checks of the backend, the login and their settings.

use mock_backend::{Settings, User};
use serde_json::Value;

use super::{Setup, auth, check, run, start};

#[tokio::test]
async fn detects_backend_problems() {
    let users = vec![User::admin("plain", "p").role("USER"), User::admin("dora_explorer", "right")];
    let clock_offset_ms = -3_600_000;
    let setup = Setup::new(Settings { users, clock_offset_ms, ..auth() }).await;
    let none = ["--sandbox", "none"];
    let doctor = async |more: &[&str]| setup.doctor(&[&none[..], more].concat()).await;

    let (code, report) = doctor(&["--auth", "--password", "wrong-word"]).await;
    let (state, message, remedy) = check(&report, "login");
    assert!(
        code == Some(1)
            && state == "failure"
            && message.contains("401")
            && remedy.contains("--password-file")
    );
    assert!(!report.to_string().contains("wrong-word"));

    let (code, report) = doctor(&["--auth", "--login", "plain", "--password", "p"]).await;
    let (state, message, remedy) = check(&report, "role");
    assert!(
        code == Some(1) && state == "failure" && message.contains("USER") && remedy.contains("ADMIN"),
        "{message}"
    );
    let (state, message, _) = check(&report, "clock");
    assert!(state == "warning" && message.contains("behind"), "{message}");

    let (_, report) = doctor(&["--auth", "--password", "right", "--tests-url", "/no/such/suite"]).await;
    assert_eq!(
        (check(&report, "login").0, check(&report, "role").0, check(&report, "suite").0),
        ("ok", "ok", "failure")
    );

    setup.backend.go_down().await;
    let (code, report) = doctor(&["--auth", "--password", "right"]).await;
    let (state, message, remedy) = check(&report, "backend");
    assert!(code == Some(1) && state == "failure" && remedy.contains("curl"), "{message}");

    let (code, report) = doctor(&["--password-file", "/no/such/file"]).await;
    let (state, message, _) = check(&report, "settings");
    assert!(code == Some(1) && state == "failure" && message.contains("/no/such/file"), "{message}");
    assert_eq!(check(&report, "make").0, "ok", "a wrong setting skipped another check");
}

#[tokio::test]
async fn doctor_reads_settings_file() {
    let setup = Setup::new(auth()).await;
    let home = setup.home.path();
    let file = home.join("runner.toml");
    let write = |more: &str| {
        let (url, suite) = (setup.backend.url(), &setup.suite);
        std::fs::write(&file, format!("backend_url = \"{url}\"\ntests_url = \"{suite}\"\n{more}")).unwrap();
    };
    write("auth = true\n");
    let arguments = ["--json", "--config", file.to_str().unwrap()];
    let (code, report) = run(home, &arguments, &[]).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert!(check(&report, "login").1.contains("dora_explorer"), "{report:#}");
    write("auth = false\n");
    let (_, report) = run(home, &arguments, &[]).await;
    assert!(check(&report, "login").1.contains("--auth"), "{report:#}");
    write("nonsense = 1\n");
    let output = start(home, &arguments, &[]).await;
    assert_eq!(output.code, Some(1));
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let (state, message, remedy) = check(&report, "settings");
    assert!(
        state == "failure" && message.contains(":3: nonsense: ") && remedy.contains("runner config check"),
        "{message}"
    );
    for skipped in ["state folder", "disk", "backend", "login", "suite", "sandbox"] {
        assert_eq!(check(&report, skipped).0, "skipped", "{report:#}");
    }
    assert_eq!((check(&report, "make").0, check(&report, "python3").0), ("ok", "ok"), "{report:#}");
}

#[tokio::test]
async fn lists_skipped_checks() {
    let setup = Setup::new(Settings::default()).await;
    let (code, report) = setup.doctor(&["--work-dir", "/proc/x"]).await;
    let (state, message, remedy) = check(&report, "settings");
    assert!(code == Some(1) && state == "failure" && message.contains("--work-dir /proc/x"), "{message}");
    assert!(remedy.starts_with("runner config check"), "{remedy}");
    for name in ["backend", "login", "suite", "sandbox"] {
        assert_eq!(check(&report, name).0, "skipped", "{report:#}");
    }
    let url = setup.backend.url();
    let output = start(setup.home.path(), &["--backend-url", &url, "--work-dir", "/proc/x"], &[]).await;
    let lines = output.stdout.clone();
    assert!(lines.contains("\nskipped  backend "), "{lines}");
    assert!(lines.lines().last().unwrap().contains(" 4 "), "{lines}");
}

/// Starts a server that answers like a web server for files.
async fn web_server(options: &'static str, read: &'static str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let count = stream.read(&mut head).await.unwrap_or(0);
            let answer = if head[..count].starts_with(b"OPTIONS") { options } else { read };
            let body = "<!DOCTYPE html><p>a page";
            let answer = format!(
                "HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.ok();
        }
    });
    url
}

#[tokio::test]
async fn warns_of_server_that_is_no_backend() {
    for (options, read, is_backend) in [
        ("501 Unsupported method", "404 File not found", false),
        ("405 Not Allowed", "404 Not Found", false),
        ("200 OK", "200 OK", false),
        ("501 Not Implemented", "405 Method Not Allowed", true),
        ("405 Method Not Allowed", "401 Unauthorized", true),
    ] {
        let url = web_server(options, read).await;
        let home = tempfile::tempdir().unwrap();
        let (_, report) = run(home.path(), &["--json", "--mock", "--backend-url", &url], &[]).await;
        let (state, message, remedy) = check(&report, "backend");
        assert_eq!(state, if is_backend { "ok" } else { "warning" }, "{options}, {read}: {message}");
        assert_eq!(remedy.contains(&format!("curl -i {url}/api/task/result")), !is_backend, "{remedy}");
    }
}

#[tokio::test]
async fn warns_of_clock_ahead() {
    let setup = Setup::new(Settings { clock_offset_ms: 3_600_000, ..Settings::default() }).await;
    let (_, report) = setup.doctor(&["--mock"]).await;
    let (state, message, remedy) = check(&report, "clock");
    assert!(state == "warning" && message.contains("ahead"), "{message}");
    assert!(remedy.starts_with("timedatectl "), "{remedy}");
}
