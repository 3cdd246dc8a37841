//! The program as a separate process.

#![expect(clippy::disallowed_methods, reason = "the program under test is a child process")]

use std::process::{Output, Stdio};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::client::{BOUND, CLAIM, RESULT, exchange, result};

fn command(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-backend"));
    command.args(flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn run(flags: &[&str]) -> Output {
    timeout(BOUND, command(flags).output()).await.unwrap().unwrap()
}

/// Starts the program on a free port and waits for its first line.
async fn start(flags: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>, std::net::SocketAddr) {
    let mut child = command(&[&["--port", "0"], flags].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = next(&mut lines).await;
    let address = line.strip_prefix("mock-backend listens on http://").expect(&line).parse().unwrap();
    (child, lines, address)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    timeout(BOUND, lines.next_line()).await.unwrap().unwrap().expect("a line")
}

#[tokio::test]
async fn prints_events_and_exits_when_done() {
    let flags = ["--task", "https://example.org/a.git#main#1", "--id", "integer", "--exit-when-done"];
    let (mut child, mut lines, address) = start(&flags).await;
    assert_eq!(next(&mut lines).await, "1 tasks pending");
    let claimed = exchange(address, "GET", CLAIM, &[], b"").await.unwrap().json();
    assert_eq!((&claimed["id"], &claimed["laboratoryNumber"]), (&1.into(), &1.into()));
    let body = result(1).to_string();
    assert_eq!(exchange(address, "POST", RESULT, &[], body.as_bytes()).await.unwrap().status, 200);
    assert_eq!(next(&mut lines).await, "claimed  1");
    assert!(next(&mut lines).await.starts_with("answered 1 SUCCESS"));
    assert!(next(&mut lines).await.starts_with("ID "));
    let row = next(&mut lines).await;
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["1", "SUCCESS", "120", "1", "of", "1"]);
    assert_eq!(timeout(BOUND, child.wait()).await.unwrap().unwrap().code(), Some(0));
}

#[tokio::test]
async fn signals_stop_it_with_code_0() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, _lines, _) = start(&[]).await;
        let pid = child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
        assert_eq!(timeout(BOUND, child.wait()).await.unwrap().unwrap().code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn reads_tasks_file_and_fault_flag() {
    let path = std::env::temp_dir().join(format!("mock-backend-tasks-{}.jsonl", std::process::id()));
    std::fs::write(&path, "{\"id\": 5, \"repositoryUrl\": \"u\", \"branch\": \"b\"}\n\n").unwrap();
    let (_child, _lines, address) = start(&["--tasks", path.to_str().unwrap(), "--fault", "claim:503"]).await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(exchange(address, "GET", CLAIM, &[], b"").await.unwrap().status, 503);
    assert_eq!(exchange(address, "GET", CLAIM, &[], b"").await.unwrap().json()["id"], 5);
}

#[tokio::test]
async fn invalid_input_prints_one_line_with_code_2() {
    for (flags, part) in [
        (&["--fault", "claim:nonsense"][..], "nonsense"),
        (&["--task", "no-branch"], "no-branch"),
        (&["--user", "nameless"], "nameless"),
        (&["--tasks", "/nonexistent/tasks.json"], "/nonexistent/tasks.json"),
        (&["--generate", "2"], "--repository"),
        (&["--exit-when-done"], "needs tasks"),
        (&["--get-api", "no-slash"], "no-slash"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let output = run(flags).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(part) && stderr.lines().count() == 1, "{flags:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn taken_port_prints_one_line_with_code_1() {
    let (_child, _lines, address) = start(&[]).await;
    let output = run(&["--port", &address.port().to_string()]).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.contains(&address.to_string()), "{stderr}");
}

#[tokio::test]
async fn help_shows_flags_and_default_port() {
    let output = run(&["--help"]).await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout.contains("--exit-when-done") && stdout.contains("[default: 5000]"), "{stdout}");
}
