//! Tests of `runner config check`: it refuses what the daemon refuses, and creates no folders.

use std::fs;

use super::{Setup, bounded};
use crate::support::Ran;

#[test]
fn check_counts_settings_by_origin() {
    let setup = Setup::with("timeout = 5\nauth = true\n");
    let mut check = setup.runner("config check --concurrent 3");
    let ran = Ran::of(check.env("RUNNER_ATTEMPTS", "2")).ends_with(0);
    assert_eq!(ran.stdout.lines().count(), 1);
    // The option --config counts as a flag, too.
    let counts: Vec<_> = ran.stdout.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let counts: Vec<_> = counts.windows(2).filter(|two| two[1] == "by").map(|two| two[0]).collect();
    assert_eq!(counts[..3], ["2", "1", "2"], "settings by flags, environment, file");
    assert!(ran.stdout.contains(&setup.file()));
    let check = "config check --password-file /no/such/file";
    Ran::of(&mut setup.runner(check)).ends_with(2).names(&["--password-file /no/such/file"]);
    assert!(!setup.path().join(".local").exists(), "the check created a folder");
}

#[test]
fn check_refuses_what_daemon_refuses() {
    let setup = Setup::with("timeout = 5\n");
    let here = setup.path().display().to_string();
    std::os::unix::fs::symlink("/no/such/folder", setup.path().join("link")).unwrap();
    fs::create_dir(setup.path().join("s")).unwrap();
    // The arguments, the setting with its folder, and a further text that the error must contain.
    for (arguments, names) in [
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
            let state = if arguments.contains("--state-dir") { "" } else { "--state-dir HERE/s" };
            let arguments = format!("{mode} --mock {state} {arguments}").replace("HERE", &here);
            let names = names.map(|name| name.replace("HERE", &here));
            let ran = bounded(&arguments.split_whitespace().collect::<Vec<_>>(), setup.path()).ends_with(2);
            let _shown = ran.names(&[&names[0], &names[1]]);
            let created = !mode.is_empty()
                && ["a:b", "state", "logs"].iter().any(|name| setup.path().join(name).exists());
            assert!(!created, "{arguments}: the check created a folder");
        }
        fs::remove_dir_all(setup.path().join("a:b")).ok();
    }
    for arguments in
        ["--logger-output HERE/log", "--logger-output=", "--state-dir HERE/new/{slot}", "--state-dir ."]
    {
        Ran::of(&mut setup.runner(&format!("config check {arguments}").replace("HERE", &here))).ends_with(0);
    }
    assert!(!setup.path().join("log").exists() && !setup.path().join("new").exists());
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
