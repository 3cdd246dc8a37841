//! What keeps the sandbox from its strongest level: a missing program, the kernel, a limit, a disk.

use std::path::Path;

use mock_backend::Settings;
use serde_json::Value;

use super::{Ground, check};
use crate::support::{BINARY, Ran, SmallDisk, command, have};

/// The doctor in a world that `prepare`, a command with its arguments, has made.
async fn in_world(prepare: &[&str], home: &Path, environment: &[(&str, &str)]) -> Value {
    let usual = command(home);
    let program = sandbox::command::find_program(prepare[0]).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the tests start the runner as people do")]
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
    // /usr/bin is empty but for what is behind /bin/sh.
    let prepare =
        ["bwrap", "--dev-bind", "/", "/", "--ro-bind", "/usr/bin", &programs, "--tmpfs", "/usr/bin"];
    let prepare = [&prepare[..], &["--ro-bind", "/bin/sh", "/usr/bin/sh", "--"]].concat();
    let said = in_world(&prepare, home.path(), &[("PATH", &programs)]).await;
    let (state, says, mend) = check(&said, "sandbox");
    assert!(state == "warning" && says.contains("bubblewrap"), "{says}");
    assert_eq!(mend, "apt-get install bubblewrap");
}

#[tokio::test]
async fn names_cause_that_forbids_namespaces() {
    if !have("bwrap", "bubblewrap") || !have("unshare", "util-linux") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // Of this user namespace alone; then as a user without privileges.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all \"$@\"";
    let prepare = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps"];
    let prepare = [&prepare[..], &["sh", "-c", script, "sh"]].concat();
    let said = in_world(&prepare, home.path(), &[]).await;
    let (state, says, mend) = check(&said, "sandbox");
    assert!(state == "warning" && says.starts_with("basic: bwrap: "), "{says}");
    assert!(says.contains("namespace"), "the reason itself: {says}");
    assert!(mend.starts_with("sysctl -w user.max_user_namespaces=15000;"), "{mend}");
    assert!(!said.to_string().contains("apt-get install bubblewrap"), "{said:#}");
    let (state, says, _) = check(&said, "user namespaces");
    assert!(state == "warning" && says.contains("user.max_user_namespaces"), "{says}");
}

/// What the check of the sandbox says in a world that `prepare` has made.
async fn sandbox_in(prepare: &[&str], home: &Path) -> (String, String) {
    let said = in_world(prepare, home, &[]).await;
    let (state, says, mend) = check(&said, "sandbox");
    assert_ne!(state, "ok", "{says}");
    (says.to_owned(), mend.to_owned())
}

#[tokio::test]
async fn names_limit_that_is_too_low() {
    if !have("prlimit", "util-linux") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    for (limit, lifts) in [("--nofile=16:16", "ulimit -n 1024"), ("--fsize=1024:1024", "ulimit -f unlimited")]
    {
        let (says, mend) = sandbox_in(&["prlimit", limit], home.path()).await;
        assert!(mend.starts_with(lifts), "{limit}: {says}: {mend}");
    }
    let said = in_world(&["prlimit", "--fsize=1024:1024"], home.path(), &[]).await;
    let (state, says, mend) = check(&said, "file size");
    assert!(state == "warning" && says.contains("1024"), "{says}");
    assert!(mend.starts_with("ulimit -f unlimited"), "{mend}");
}

#[tokio::test]
async fn names_read_only_disk_as_cause() {
    let Some(disk) = SmallDisk::new("4m") else { return };
    let ground = Ground::new(Settings::default()).await;
    let state = disk.path().join("state");
    let work = state.join("work").display().to_string();
    std::fs::create_dir_all(&work).unwrap();
    let arguments = ["--state-dir", state.to_str().unwrap()];
    let read_only = disk.read_only("state");
    let (_, said) = ground.doctor(&arguments).await;
    for name in ["sandbox", "suite"] {
        let (state, says, mend) = check(&said, name);
        assert_ne!(state, "ok", "{says}");
        let remounts = format!("mount -o remount,rw \"$(findmnt -no TARGET -T {work})\"");
        assert!(mend.starts_with(&remounts) && mend.contains("--state-dir"), "{name}: {says}: {mend}");
    }
    drop(read_only);
    std::fs::remove_dir(&work).unwrap();
    let _read_only = disk.read_only("state");
    let (code, said) = ground.doctor(&arguments).await;
    let (_, says, mend) = check(&said, "settings");
    assert!(code == Some(1) && mend.starts_with("mount -o remount,rw "), "{says}: {mend}");
}

#[tokio::test]
async fn checks_the_rest_without_scratch_folder() {
    if !have("bwrap", "bubblewrap") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let prepare = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--"];
    let said = in_world(&prepare, home.path(), &[]).await;
    let (state, says, mend) = check(&said, "settings");
    assert!(state == "failure" && says.contains("Read-only"), "{says}");
    assert!(mend.starts_with("mount -o remount,rw \"$(findmnt -no TARGET -T /tmp)"), "{mend}");
    check(&said, "open files");
}
