//! Tests of the options of the sandbox: the levels, users and folders that the runner accepts or refuses.

use std::fs;

use serde_json::Value;

use super::bench::{Bench, chosen, has, last_kept};
use crate::support::{Ran, command};

#[test]
fn refuses_weaker_sandbox_than_required() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    let refused = bench.output(&suite, &["--sandbox", "none", "--sandbox-require", "basic"]);
    let error = &refused.stderr;
    assert_eq!(refused.code, Some(2), "{error}");
    assert!(error.contains("none") && error.contains("basic"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    // A restart of the daemon may succeed, so its exit code must not forbid one.
    let daemon = ["--sandbox", "none", "--sandbox-require", "basic"];
    let daemon = Ran::of(command(bench.folder.path()).args(daemon));
    let error = &daemon.stderr;
    assert!(daemon.code == Some(1) && error.lines().count() == 1, "{error}");
    assert!(error.contains("none") && error.contains("basic"), "{error}");
    let (answer, log) = bench.run(&suite, &["--sandbox", "basic"]);
    assert_eq!(answer["isPassed"], true, "{answer}\n{log}");
    for feature in ["pidns=no", "seccomp=yes", "inet=denied", "disk=watched"] {
        assert!(has(&log, feature), "{feature}: {log}");
    }
    assert_eq!(chosen(&log)["field.level"], "basic");
    let about = last_kept(&bench.path("state/kept")).join("about.json");
    let about: Value = serde_json::from_slice(&fs::read(about).unwrap()).unwrap();
    assert_eq!(about["sandbox"], "basic");
    assert_eq!(about["enforced"], chosen(&log)["enforced"]);
    assert_eq!(about["told_by_the_plugin"], true);
}

#[test]
fn root_needs_separate_user_per_task() {
    let Some(bench) = Bench::new() else { return };
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    fs::set_permissions(bench.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let refused = bench.output(&suite, &["--sandbox", "basic"]);
    let error = &refused.stderr;
    assert!(refused.code != Some(0) && error.contains("--state-dir"), "{error}");
    // Low limits do not weaken the sandbox.
    let starved = bench.output(&suite, &["--sandbox", "auto", "--memory", "1M", "--disk", "1M"]);
    let log = &starved.stderr;
    assert_eq!(chosen(log)["field.level"], "bwrap");
}

#[test]
fn refuses_unsafe_readable_folders() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    let above = bench.folder.path().display().to_string();
    for readable in ["/", "/tmp", "relative", &above] {
        let refused = bench.output(&suite, &["--sandbox-readable", readable]);
        let error = &refused.stderr;
        assert_eq!((refused.code, error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(&format!("--sandbox-readable {readable}: ")), "{error}");
    }
}

#[test]
fn accepts_memory_folder_but_no_colon() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let taken = bench.output(&suite, &["--sandbox", "auto", "--work-dir", memory.path().to_str().unwrap()]);
    assert!(taken.code == Some(0), "{}", &taken.stderr);
    let colon = bench.path("one:two").display().to_string();
    let refused = bench.output(&suite, &["--sandbox", "auto", "--work-dir", &colon]);
    let error = &refused.stderr;
    assert_eq!((refused.code, error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains(&format!("--work-dir {colon}: ")), "{error}");
}
