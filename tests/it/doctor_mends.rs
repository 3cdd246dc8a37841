//! `runner doctor` on what is there and does not work, and that each line says what mends it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use mock_backend::Settings;
use serde_json::Value;

use crate::doctor::{Ground, check, run, start};
use crate::support::{BINARY, Ran, SmallDisk};

/// Programs of these names, each a script.
fn programs(folder: &Path, scripts: &[(&str, &str)]) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, script) in scripts {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

#[tokio::test]
async fn broken_programs_are_failures() {
    let ground = Ground::new(Settings::default()).await;
    let no_venv =
        r#"case "$3" in *ensurepip*) echo 'No module named ensurepip' >&2; exit 1;; esac; echo 3.4.2"#;
    let bin = programs(
        ground.home.path(),
        &[
            ("cc", "exit 127"),
            ("make", "echo 'make: no such luck' >&2; exit 2"),
            ("uv", "exit 127"),
            ("python3", no_venv),
        ],
    );
    let url = ground.backend.url();
    let arguments = ["--json", "--backend-url", &url, "--tests-url", &ground.suite, "--sandbox", "none"];
    let path = [("PATH", bin.to_str().unwrap())];
    let (code, said) = run(ground.home.path(), &arguments, &path).await;
    assert_eq!(code, Some(1), "{said:#}");
    for (name, words, mends) in [
        ("cc", "127", "apt-get install gcc libc6-dev"),
        ("make", "make: no such luck", "apt-get install make"),
        ("uv", "127", "mv "),
        ("python3", "3.4.2", "apt-get install python3 python3-venv"),
        ("environments", "No module named ensurepip", "apt-get install python3-venv"),
    ] {
        let (state, says, mend) = check(&said, name);
        assert!(
            state == "failure" && says.contains(words) && mend.contains(mends),
            "{name}: {state} {says} {mend}"
        );
    }
    // One that hangs is no reason to hang.
    programs(ground.home.path(), &[("make", "while :; do /bin/sleep 1; done"), ("python3", "echo 3.11.2")]);
    let (_, said) = run(ground.home.path(), &arguments, &path).await;
    let (state, says, _) = check(&said, "make");
    assert!(state == "failure" && says.contains("10 s"), "{says}");
    assert_eq!(
        (check(&said, "python3").0, check(&said, "uv").0, check(&said, "environments").0),
        ("ok", "failure", "ok")
    );
}

#[tokio::test]
async fn state_folder_that_is_file_fails() {
    let ground = Ground::new(Settings::default()).await;
    let file = ground.home.path().join("file");
    fs::write(&file, "").unwrap();
    for (state, option) in
        [(file.clone(), "--state-dir"), (file.join("below"), "--state-dir"), (file.clone(), "--work-dir")]
    {
        let (code, said) = ground.doctor(&["--sandbox", "none", option, state.to_str().unwrap()]).await;
        let name = if option == "--state-dir" { "state folder" } else { "work folder" };
        let (found, says, mend) = check(&said, name);
        assert_eq!((code, found), (Some(1), "failure"), "{said:#}");
        assert!(says.contains("/file") && mend.starts_with("ls -ld "), "{says} {mend}");
    }
}

/// The runner as a user without rights, from a folder that everybody can pass through.
fn as_user(home: &Path, words: &[&str]) -> Ran {
    let program = home.join("runner");
    if !program.exists() {
        fs::copy(BINARY, &program).unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "the tests start the runner as people do")]
    let mut runner = std::process::Command::new(program);
    runner.env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin").current_dir("/").args(words);
    std::os::unix::process::CommandExt::uid(&mut runner, USER);
    std::os::unix::process::CommandExt::gid(&mut runner, USER);
    Ran::of(&mut runner)
}

/// Leaves something in a state folder.
type Leave = fn(&Path);

/// Of nobody.
const USER: u32 = 12_345;

#[tokio::test]
async fn roots_files_in_state_folder_fail() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("\n!!! SKIPPED: only root can leave things to root\n");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    let state = home.path().join("state");
    let folder = state.to_str().unwrap();
    let make: [(&str, Leave); 3] = [
        ("spool", |state| fs::create_dir(state.join("spool")).unwrap()),
        ("runner.lock", |state| fs::write(state.join("runner.lock"), "").unwrap()),
        ("spool/results", |state| {
            fs::create_dir_all(state.join("spool/results")).unwrap();
            chown(state.join("spool"), Some(USER), Some(USER)).unwrap();
        }),
    ];
    for (entry, leave) in make {
        fs::remove_dir_all(&state).ok();
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
        leave(&state);
        for entry in ["spool", "runner.lock", "spool/results"].map(|name| state.join(name)) {
            let mode = if entry.is_dir() { 0o700 } else { 0o600 };
            fs::set_permissions(&entry, Permissions::from_mode(mode)).ok();
        }
        chown(&state, Some(USER), Some(USER)).unwrap();
        // Before the daemon, which makes more.
        let checked = as_user(home.path(), &["config", "check", "--mock", "--state-dir", folder]);
        let doctor = as_user(
            home.path(),
            &["doctor", "--json", "--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir", folder],
        );
        let daemon =
            as_user(home.path(), &["--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir", folder]);
        let said = daemon.stderr.clone();
        assert_eq!((daemon.code, said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(entry) && said.matches("Permission denied").count() == 1, "{said}");
        assert_eq!((checked.code, checked.stderr.clone()), (Some(2), said));
        let found: Value = serde_json::from_str(&doctor.stdout).unwrap();
        let (found, words, mend) = check(&found, "state folder");
        assert!(found == "failure" && words.contains(entry), "{found} {words}");
        assert_eq!(mend, format!("chown -R {USER} {folder}"));
        // Root, who could, is told of the other.
        let root = start(
            home.path(),
            &["--json", "--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir", folder],
            &[],
        )
        .await;
        let root: Value = serde_json::from_str(&root.stdout).unwrap();
        let (found, words, mend) = check(&root, "state folder");
        assert!(found == "warning" && words.contains("12345"), "{words}");
        assert_eq!(mend, format!("chown -R {USER} {folder}"));
    }
}

#[tokio::test]
async fn checks_disk_of_work_folder() {
    let Some(disk) = SmallDisk::new("40m") else { return };
    let ground = Ground::new(Settings::default()).await;
    let work = disk.path().join("work").display().to_string();
    let arguments = ["--sandbox", "none", "--work-dir", &work];
    let (_, said) = ground.doctor(&arguments).await;
    assert_eq!(
        (check(&said, "disk").0, check(&said, "work disk").0, check(&said, "work folder").0),
        ("ok", "warning", "ok")
    );
    let _filled = disk.fill();
    let (code, said) = ground.doctor(&arguments).await;
    assert_eq!((code, check(&said, "work disk").0), (Some(1), "failure"), "{said:#}");
    check(&said, "work inodes");
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
