//! Tests of the checks of the state and work folders: relative, full, read-only, or owned by another user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use mock_backend::Settings;
use serde_json::Value;

use super::{Setup, check, start};
use crate::support::{BINARY, Ran, SmallDisk, command};

/// A user id that no account has.
const USER: u32 = 12_345;

/// Runs the runner as a user without privileges, from a folder that every user can enter.
fn as_user(home: &Path, arguments: &[&str]) -> Ran {
    let program = home.join("runner");
    if !program.exists() {
        fs::copy(BINARY, &program).unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "the test starts the runner as users do")]
    let mut runner = std::process::Command::new(program);
    runner
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .args(arguments);
    std::os::unix::process::CommandExt::uid(&mut runner, USER);
    std::os::unix::process::CommandExt::gid(&mut runner, USER);
    Ran::of(&mut runner)
}

#[tokio::test]
async fn accepts_relative_state_folder() {
    let setup = Setup::new(Settings::default()).await;
    let url = setup.backend.url();
    for (folder, value) in [("ds", "/ds"), ("./ds", "/ds"), ("ds", "700")] {
        let mut doctor = command(setup.home.path());
        doctor.current_dir(setup.home.path()).args(["doctor", "--json", "--backend-url", &url]);
        doctor.args(["--tests-url", &setup.suite, "--state-dir", folder]);
        let output = Ran::beside(doctor).await;
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        let (state, message, remedy) = check(&report, "state folder");
        assert!(
            state == "ok" && message.contains(value) && remedy.is_empty(),
            "{folder}: {state} {message} {remedy}"
        );
        assert_eq!(check(&report, "disk").0, "ok", "{report:#}");
        if folder == "./ds" {
            std::fs::create_dir(setup.home.path().join("ds")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(setup.home.path().join("ds"), mode).unwrap();
        }
    }
}

#[tokio::test]
async fn detects_full_and_read_only_disk() {
    let Some(disk) = SmallDisk::new("40m") else { return };
    let setup = Setup::new(Settings::default()).await;
    std::fs::create_dir(disk.path().join("state")).unwrap();
    let state = disk.path().join("state").display().to_string();
    let arguments = ["--sandbox", "none", "--state-dir", &state];
    let (_, report) = setup.doctor(&arguments).await;
    assert_eq!((check(&report, "disk").0, check(&report, "state folder").0), ("warning", "ok"));
    let filled = disk.fill();
    let (code, report) = setup.doctor(&arguments).await;
    assert_eq!((code, check(&report, "disk").0), (Some(1), "failure"));
    std::fs::remove_file(filled).unwrap();
    let _read_only = disk.read_only("state");
    for folder in ["state", "state/below"] {
        let state = disk.path().join(folder).display().to_string();
        let (code, report) = setup.doctor(&["--sandbox", "none", "--state-dir", &state]).await;
        let (found, message, remedy) = check(&report, "state folder");
        assert_eq!((code, found), (Some(1), "failure"), "{report:#}");
        let state_folder = disk.path().join("state").display().to_string();
        let remedy_start = format!("mount -o remount,rw \"$(findmnt -no TARGET -T {state_folder})\"");
        assert!(remedy.starts_with(&remedy_start) && remedy.contains("--state-dir"), "{message}: {remedy}");
    }
}

/// An ordinary user may write to none of these folders. The remedy must not change their owner.
#[tokio::test]
async fn fix_never_takes_folder_from_owner() {
    let home = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let root = nix::unistd::geteuid().is_root();
    let (me, owner) = if root {
        (USER.to_string(), "root".to_owned())
    } else {
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
        (me.clone(), me)
    };
    // The user may not be able to execute the test's binary, so copy it.
    let program = home.path().join("runner");
    std::fs::copy(BINARY, &program).unwrap();
    mode(home.path(), 0o755);
    let (closed, shut) = (home.path().join("it's closed"), home.path().join("shut"));
    for (folder, rights) in [(&closed, 0o555), (&shut, 0o600)] {
        std::fs::create_dir(folder).unwrap();
        mode(folder, rights);
    }
    let new = closed.join("state").display().to_string();
    let own = if root {
        vec![owner, "--state-dir".to_owned()]
    } else {
        vec![format!("chmod u+rwx \"{}\"", closed.display())]
    };
    for (state, names) in [
        (closed.join("state"), vec![format!("install -d -m 700 -o {me} \"{new}\"")]),
        (closed.clone(), own),
        (shut.join("state"), vec!["--state-dir".to_owned()]),
    ] {
        #[expect(clippy::disallowed_methods, reason = "the test starts the runner as users do")]
        let mut doctor = std::process::Command::new(&program);
        doctor.env_clear().env("HOME", "/nonexistent").env("USER", "root").env("PATH", "/usr/bin:/bin");
        doctor.args(["doctor", "--json", "--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir"]);
        doctor.arg(&state).current_dir("/");
        if root {
            std::os::unix::process::CommandExt::uid(&mut doctor, USER);
            std::os::unix::process::CommandExt::gid(&mut doctor, USER);
        }
        let output = Ran::beside(doctor).await;
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        let (found, _, remedy) = check(&report, "state folder");
        let named = names.iter().all(|name| remedy.contains(name));
        assert!(
            found == "failure" && named && !remedy.contains("chown"),
            "{}: {found} {remedy}",
            state.display()
        );
    }
    mode(&closed, 0o755);
}

#[tokio::test]
async fn state_folder_that_is_file_fails() {
    let setup = Setup::new(Settings::default()).await;
    let file = setup.home.path().join("file");
    fs::write(&file, "").unwrap();
    for (state, option) in
        [(file.clone(), "--state-dir"), (file.join("below"), "--state-dir"), (file.clone(), "--work-dir")]
    {
        let (code, report) = setup.doctor(&["--sandbox", "none", option, state.to_str().unwrap()]).await;
        let name = if option == "--state-dir" { "state folder" } else { "work folder" };
        let (found, message, remedy) = check(&report, name);
        assert_eq!((code, found), (Some(1), "failure"), "{report:#}");
        assert!(message.contains("/file") && remedy.starts_with("ls -ld "), "{message} {remedy}");
    }
}

/// Creates a file or folder in a state folder.
type Create = fn(&Path);

#[tokio::test]
async fn roots_files_in_state_folder_fail() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("\n!!! SKIPPED: only root can create root's files\n");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    let state = home.path().join("state");
    let folder = state.to_str().unwrap();
    let make: [(&str, Create); 3] = [
        ("spool", |state| fs::create_dir(state.join("spool")).unwrap()),
        ("runner.lock", |state| fs::write(state.join("runner.lock"), "").unwrap()),
        ("spool/results", |state| {
            fs::create_dir_all(state.join("spool/results")).unwrap();
            chown(state.join("spool"), Some(USER), Some(USER)).unwrap();
        }),
    ];
    for (entry, create) in make {
        fs::remove_dir_all(&state).ok();
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
        create(&state);
        for entry in ["spool", "runner.lock", "spool/results"].map(|name| state.join(name)) {
            let mode = if entry.is_dir() { 0o700 } else { 0o600 };
            fs::set_permissions(&entry, Permissions::from_mode(mode)).ok();
        }
        chown(&state, Some(USER), Some(USER)).unwrap();
        // Check before the daemon runs, because the daemon creates more files.
        let checked = as_user(home.path(), &["config", "check", "--mock", "--state-dir", folder]);
        let doctor = as_user(
            home.path(),
            &["doctor", "--json", "--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir", folder],
        );
        let daemon =
            as_user(home.path(), &["--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir", folder]);
        let error = daemon.stderr.clone();
        assert_eq!((daemon.code, error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(entry) && error.matches("Permission denied").count() == 1, "{error}");
        assert_eq!((checked.code, checked.stderr.clone()), (Some(2), error));
        let found: Value = serde_json::from_str(&doctor.stdout).unwrap();
        let (found, message, remedy) = check(&found, "state folder");
        assert!(found == "failure" && message.contains(entry), "{found} {message}");
        assert_eq!(remedy, format!("chown -R {USER} {folder}"));
        // Root can use the folder, so the doctor only warns of its owner.
        let root = start(
            home.path(),
            &["--json", "--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir", folder],
            &[],
        )
        .await;
        let root: Value = serde_json::from_str(&root.stdout).unwrap();
        let (found, message, remedy) = check(&root, "state folder");
        assert!(found == "warning" && message.contains("12345"), "{message}");
        assert_eq!(remedy, format!("chown -R {USER} {folder}"));
    }
}

#[tokio::test]
async fn checks_disk_of_work_folder() {
    let Some(disk) = SmallDisk::new("40m") else { return };
    let setup = Setup::new(Settings::default()).await;
    let work = disk.path().join("work").display().to_string();
    let arguments = ["--sandbox", "none", "--work-dir", &work];
    let (_, report) = setup.doctor(&arguments).await;
    assert_eq!(
        (check(&report, "disk").0, check(&report, "work disk").0, check(&report, "work folder").0),
        ("ok", "warning", "ok")
    );
    let _filled = disk.fill();
    let (code, report) = setup.doctor(&arguments).await;
    assert_eq!((code, check(&report, "work disk").0), (Some(1), "failure"), "{report:#}");
    check(&report, "work inodes");
}
