//! `runner config check`: it refuses what the daemon refuses, and makes no folders.

use std::fs;

use super::{Desk, bounded};
use crate::support::Ran;

#[test]
fn check_counts_settings_by_origin() {
    let desk = Desk::with("timeout = 5\nauth = true\n");
    let mut check = desk.runner("config check --concurrent 3");
    let ran = Ran::of(check.env("RUNNER_ATTEMPTS", "2")).ends_with(0);
    assert_eq!(ran.stdout.lines().count(), 1);
    // The file itself is named by a flag.
    let counts: Vec<_> = ran.stdout.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let counts: Vec<_> = counts.windows(2).filter(|two| two[1] == "by").map(|two| two[0]).collect();
    assert_eq!(counts[..3], ["2", "1", "2"], "flags, environment, file");
    assert!(ran.stdout.contains(&desk.file()));
    let check = "config check --password-file /no/such/file";
    Ran::of(&mut desk.runner(check)).ends_with(2).names(&["--password-file /no/such/file"]);
    assert!(!desk.path().join(".local").exists(), "checking makes no folders");
}

#[test]
fn check_refuses_what_daemon_refuses() {
    let desk = Desk::with("timeout = 5\n");
    let here = desk.path().display().to_string();
    std::os::unix::fs::symlink("/no/such/folder", desk.path().join("link")).unwrap();
    fs::create_dir(desk.path().join("s")).unwrap();
    // The setting, the folder that it names, and the part of it that is wrong, if that is another.
    for (words, names) in [
        ("--sandbox-readable /", ["--sandbox-readable /: ", ""]),
        ("--sandbox-readable usr", ["--sandbox-readable usr: ", ""]),
        ("--state-dir HERE/a:b", ["--state-dir HERE/a:b: ", "`:`"]),
        ("--state-dir HERE/a:b/{slot}", ["--state-dir HERE/a:b/1: ", "`:`"]),
        ("--work-dir HERE/a:b", ["--work-dir HERE/a:b: ", "`:`"]),
        ("--state-dir HERE/runner.toml", ["--state-dir HERE/runner.toml: ", ""]),
        ("--work-dir HERE/runner.toml/x/y", ["--work-dir HERE/runner.toml/x/y: ", ""]),
        ("--state-dir HERE/link", ["--state-dir HERE/link: ", ""]),
        ("--logger-output HERE/logs/x", ["--logger-output HERE/logs/x: ", ""]),
        ("--logger-output HERE/s", ["--logger-output HERE/s: ", ""]),
        ("--work-dir /proc/y", ["--work-dir /proc/y: ", ""]),
        ("--sandbox-readable /usr,/no/such", ["--sandbox-readable /no/such: ", ""]),
        ("--state-dir HERE/state --sandbox-readable HERE", ["--sandbox-readable HERE: ", "HERE/state"]),
    ] {
        for mode in ["config check", ""] {
            let state = if words.contains("--state-dir") { "" } else { "--state-dir HERE/s" };
            let words = format!("{mode} --mock {state} {words}").replace("HERE", &here);
            let names = names.map(|name| name.replace("HERE", &here));
            let ran = bounded(&words.split_whitespace().collect::<Vec<_>>(), desk.path()).ends_with(2);
            let _shown = ran.names(&[&names[0], &names[1]]);
            let made = !mode.is_empty()
                && ["a:b", "state", "logs"].iter().any(|name| desk.path().join(name).exists());
            assert!(!made, "{words}: checking makes no folders");
        }
        fs::remove_dir_all(desk.path().join("a:b")).ok();
    }
    for words in
        ["--logger-output HERE/log", "--logger-output=", "--state-dir HERE/new/{slot}", "--state-dir ."]
    {
        Ran::of(&mut desk.runner(&format!("config check {words}").replace("HERE", &here))).ends_with(0);
    }
    assert!(!desk.path().join("log").exists() && !desk.path().join("new").exists());
}

#[test]
fn read_only_state_folder_is_reported_once() {
    let Some(disk) = crate::support::SmallDisk::new("4m") else { return };
    let state = disk.path().join("state");
    fs::create_dir_all(state.join("work")).unwrap();
    let _read_only = disk.read_only("state");
    let state = state.display().to_string();
    let ran = bounded(&["--mock", "--state-dir", &state], disk.path()).ends_with(2);
    let ran = ran.names(&[&format!("{state}/runner.lock"), "Read-only file system"]);
    assert_eq!(ran.stderr.matches("Read-only file system").count(), 1);
}
