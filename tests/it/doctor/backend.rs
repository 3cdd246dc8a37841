//! The backend, the login and the settings that name them.

use mock_backend::{Settings, User};
use serde_json::Value;

use super::{Ground, auth, check, run, start};

#[tokio::test]
async fn detects_backend_problems() {
    let users = vec![User::admin("plain", "p").role("USER"), User::admin("dora_explorer", "right")];
    let clock_offset_ms = -3_600_000;
    let ground = Ground::new(Settings { users, clock_offset_ms, ..auth() }).await;
    let none = ["--sandbox", "none"];
    let doctor = async |more: &[&str]| ground.doctor(&[&none[..], more].concat()).await;

    let (code, said) = doctor(&["--auth", "--password", "wrong-word"]).await;
    let (state, says, mend) = check(&said, "login");
    assert!(
        code == Some(1) && state == "failure" && says.contains("401") && mend.contains("--password-file")
    );
    assert!(!said.to_string().contains("wrong-word"));

    let (code, said) = doctor(&["--auth", "--login", "plain", "--password", "p"]).await;
    let (state, says, mend) = check(&said, "role");
    assert!(
        code == Some(1) && state == "failure" && says.contains("USER") && mend.contains("ADMIN"),
        "{says}"
    );
    let (state, says, _) = check(&said, "clock");
    assert!(state == "warning" && says.contains("behind"), "{says}");

    let (_, said) = doctor(&["--auth", "--password", "right", "--tests-url", "/no/such/suite"]).await;
    assert_eq!(
        (check(&said, "login").0, check(&said, "role").0, check(&said, "suite").0),
        ("ok", "ok", "failure")
    );

    ground.backend.go_down().await;
    let (code, said) = doctor(&["--auth", "--password", "right"]).await;
    let (state, says, mend) = check(&said, "backend");
    assert!(code == Some(1) && state == "failure" && mend.contains("curl"), "{says}");

    let (code, said) = doctor(&["--password-file", "/no/such/file"]).await;
    let (state, says, _) = check(&said, "settings");
    assert!(code == Some(1) && state == "failure" && says.contains("/no/such/file"), "{says}");
    assert_eq!(check(&said, "make").0, "ok", "the others are looked at all the same");
}

#[tokio::test]
async fn doctor_reads_settings_file() {
    let ground = Ground::new(auth()).await;
    let home = ground.home.path();
    let file = home.join("runner.toml");
    let write = |more: &str| {
        let (url, suite) = (ground.backend.url(), &ground.suite);
        std::fs::write(&file, format!("backend_url = \"{url}\"\ntests_url = \"{suite}\"\n{more}")).unwrap();
    };
    write("auth = true\n");
    let arguments = ["--json", "--config", file.to_str().unwrap()];
    let (code, said) = run(home, &arguments, &[]).await;
    assert_eq!(code, Some(0), "{said:#}");
    assert!(check(&said, "login").1.contains("dora_explorer"), "{said:#}");
    write("auth = false\n");
    let (_, said) = run(home, &arguments, &[]).await;
    assert!(check(&said, "login").1.contains("--auth"), "{said:#}");
    write("nonsense = 1\n");
    let output = start(home, &arguments, &[]).await;
    assert_eq!(output.code, Some(1));
    let said: Value = serde_json::from_str(&output.stdout).unwrap();
    let (state, says, mend) = check(&said, "settings");
    assert!(
        state == "failure" && says.contains(":3: nonsense: ") && mend.contains("runner config check"),
        "{says}"
    );
    for skipped in ["state folder", "disk", "backend", "login", "suite", "sandbox"] {
        assert_eq!(check(&said, skipped).0, "skipped", "{said:#}");
    }
    assert_eq!((check(&said, "make").0, check(&said, "python3").0), ("ok", "ok"), "{said:#}");
}

#[tokio::test]
async fn lists_skipped_checks() {
    let ground = Ground::new(Settings::default()).await;
    let (code, said) = ground.doctor(&["--work-dir", "/proc/x"]).await;
    let (state, says, mend) = check(&said, "settings");
    assert!(code == Some(1) && state == "failure" && says.contains("--work-dir /proc/x"), "{says}");
    assert!(mend.starts_with("runner config check"), "{mend}");
    for name in ["backend", "login", "suite", "sandbox"] {
        assert_eq!(check(&said, name).0, "skipped", "{said:#}");
    }
    let url = ground.backend.url();
    let output = start(ground.home.path(), &["--backend-url", &url, "--work-dir", "/proc/x"], &[]).await;
    let lines = output.stdout.clone();
    assert!(lines.contains("\nskipped  backend "), "{lines}");
    assert!(lines.lines().last().unwrap().contains(" 4 "), "{lines}");
}

/// What answers as a web server for files does.
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
        let (_, said) = run(home.path(), &["--json", "--mock", "--backend-url", &url], &[]).await;
        let (state, says, mend) = check(&said, "backend");
        assert_eq!(state, if is_backend { "ok" } else { "warning" }, "{options}, {read}: {says}");
        assert_eq!(mend.contains(&format!("curl -i {url}/api/task/result")), !is_backend, "{mend}");
    }
}

#[tokio::test]
async fn warns_of_clock_ahead() {
    let ground = Ground::new(Settings { clock_offset_ms: 3_600_000, ..Settings::default() }).await;
    let (_, said) = ground.doctor(&["--mock"]).await;
    let (state, says, mend) = check(&said, "clock");
    assert!(state == "warning" && says.contains("ahead"), "{says}");
    assert!(mend.starts_with("timedatectl "), "{mend}");
}
