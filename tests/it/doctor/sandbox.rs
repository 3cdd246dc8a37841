//! Tests of the causes of a weaker sandbox: a missing program, the kernel, a limit, a disk.

use std::path::Path;

use mock_backend::Settings;
use serde_json::Value;

use super::{Setup, check};
use crate::support::{BINARY, Ran, SmallDisk, command, have};

/// Runs `runner doctor` under the command `prepare`. Returns its report.
async fn doctor_under(prepare: &[&str], home: &Path, environment: &[(&str, &str)]) -> Value {
    let usual = command(home);
    let program = sandbox::command::find_program(prepare[0]).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the test starts the runner as users do")]
    let mut doctor = std::process::Command::new(program);
    doctor.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    doctor.envs(environment.iter().copied()).args(&prepare[1..]).arg(BINARY);
    doctor.args(["doctor", "--json", "--backend-url", "http://127.0.0.1:9", "--tests-url", "/no/such/suite"]);
    doctor.arg("--state-dir").arg(home.join("state"));
    let output = Ran::beside(doctor).await;
    serde_json::from_str(&output.stdout).unwrap()
}

#[tokio::test]
async fn missing_bubblewrap_should_be_installed() {
    if !have("bwrap", "bubblewrap") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let programs = home.path().join("programs").display().to_string();
    std::fs::create_dir(&programs).unwrap();
    // /usr/bin has nothing but the shell.
    let prepare =
        ["bwrap", "--dev-bind", "/", "/", "--ro-bind", "/usr/bin", &programs, "--tmpfs", "/usr/bin"];
    let prepare = [&prepare[..], &["--ro-bind", "/bin/sh", "/usr/bin/sh", "--"]].concat();
    let report = doctor_under(&prepare, home.path(), &[("PATH", &programs)]).await;
    let (state, message, remedy) = check(&report, "sandbox");
    assert!(state == "warning" && message.contains("bubblewrap"), "{message}");
    assert_eq!(remedy, "apt-get install bubblewrap");
}

#[tokio::test]
async fn names_cause_that_forbids_namespaces() {
    if !have("bwrap", "bubblewrap") || !have("unshare", "util-linux") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // Set the limit of this user namespace only, then drop all privileges.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all \"$@\"";
    let prepare = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps"];
    let prepare = [&prepare[..], &["sh", "-c", script, "sh"]].concat();
    let report = doctor_under(&prepare, home.path(), &[]).await;
    let (state, message, remedy) = check(&report, "sandbox");
    assert!(state == "warning" && message.starts_with("basic: bwrap: "), "{message}");
    assert!(message.contains("namespace"), "the message does not name the cause: {message}");
    assert!(remedy.starts_with("sysctl -w user.max_user_namespaces=15000;"), "{remedy}");
    assert!(!report.to_string().contains("apt-get install bubblewrap"), "{report:#}");
    let (state, message, _) = check(&report, "user namespaces");
    assert!(state == "warning" && message.contains("user.max_user_namespaces"), "{message}");
}

/// Message and remedy of the sandbox check of a doctor under the command `prepare`.
async fn sandbox_check_under(prepare: &[&str], home: &Path) -> (String, String) {
    let report = doctor_under(prepare, home, &[]).await;
    let (state, message, remedy) = check(&report, "sandbox");
    assert_ne!(state, "ok", "{message}");
    (message.to_owned(), remedy.to_owned())
}

#[tokio::test]
async fn names_limit_that_is_too_low() {
    if !have("prlimit", "util-linux") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for (limit, remedy_start) in
        [("--nofile=16:16", "ulimit -n 1024"), ("--fsize=1024:1024", "ulimit -f unlimited")]
    {
        let (message, remedy) = sandbox_check_under(&["prlimit", limit], home.path()).await;
        assert!(remedy.starts_with(remedy_start), "{limit}: {message}: {remedy}");
    }
    let report = doctor_under(&["prlimit", "--fsize=1024:1024"], home.path(), &[]).await;
    let (state, message, remedy) = check(&report, "file size");
    assert!(state == "warning" && message.contains("1024"), "{message}");
    assert!(remedy.starts_with("ulimit -f unlimited"), "{remedy}");
}

#[tokio::test]
async fn names_read_only_disk_as_cause() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let setup = Setup::new(Settings::default()).await;
    let state = disk.path().join("state");
    let work = state.join("work").display().to_string();
    std::fs::create_dir_all(&work).unwrap();
    let arguments = ["--state-dir", state.to_str().unwrap()];
    let read_only = disk.read_only("state");
    let (_, report) = setup.doctor(&arguments).await;
    for name in ["sandbox", "suite"] {
        let (state, message, remedy) = check(&report, name);
        assert_ne!(state, "ok", "{message}");
        let remedy_start = format!("mount -o remount,rw \"$(findmnt -no TARGET -T {work})\"");
        assert!(
            remedy.starts_with(&remedy_start) && remedy.contains("--state-dir"),
            "{name}: {message}: {remedy}"
        );
    }
    drop(read_only);
    std::fs::remove_dir(&work).unwrap();
    let _read_only = disk.read_only("state");
    let (code, report) = setup.doctor(&arguments).await;
    let (_, message, remedy) = check(&report, "settings");
    assert!(code == Some(1) && remedy.starts_with("mount -o remount,rw "), "{message}: {remedy}");
}

#[tokio::test]
async fn checks_the_rest_without_scratch_folder() {
    if !have("bwrap", "bubblewrap") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let prepare = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--"];
    let report = doctor_under(&prepare, home.path(), &[]).await;
    let (state, message, remedy) = check(&report, "settings");
    assert!(state == "failure" && message.contains("Read-only"), "{message}");
    assert!(remedy.starts_with("mount -o remount,rw \"$(findmnt -no TARGET -T /tmp)"), "{remedy}");
    check(&report, "open files");
}
