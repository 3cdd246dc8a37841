//! State and work folders: relative, full, read-only, or owned by somebody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use mock_backend::Settings;
use serde_json::Value;

use super::{Ground, check, start};
use crate::support::{BINARY, Ran, SmallDisk, command};

/// Of nobody.
const USER: u32 = 12_345;

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

#[tokio::test]
async fn accepts_relative_state_folder() {
    let ground = Ground::new(Settings::default()).await;
    let url = ground.backend.url();
    for (folder, value) in [("ds", "/ds"), ("./ds", "/ds"), ("ds", "700")] {
        let mut doctor = command(ground.home.path());
        doctor.current_dir(ground.home.path()).args(["doctor", "--json", "--backend-url", &url]);
        doctor.args(["--tests-url", &ground.suite, "--state-dir", folder]);
        let output = Ran::beside(doctor).await;
        let said: Value = serde_json::from_str(&output.stdout).unwrap();
        let (state, says, mend) = check(&said, "state folder");
        assert!(state == "ok" && says.contains(value) && mend.is_empty(), "{folder}: {state} {says} {mend}");
        assert_eq!(check(&said, "disk").0, "ok", "{said:#}");
        if folder == "./ds" {
            std::fs::create_dir(ground.home.path().join("ds")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(ground.home.path().join("ds"), mode).unwrap();
        }
    }
}

#[tokio::test]
async fn detects_full_and_read_only_disk() {
    let Some(disk) = SmallDisk::new("40m") else { return };
    let ground = Ground::new(Settings::default()).await;
    std::fs::create_dir(disk.path().join("state")).unwrap();
    let state = disk.path().join("state").display().to_string();
    let arguments = ["--sandbox", "none", "--state-dir", &state];
    let (_, said) = ground.doctor(&arguments).await;
    assert_eq!((check(&said, "disk").0, check(&said, "state folder").0), ("warning", "ok"));
    let filled = disk.fill();
    let (code, said) = ground.doctor(&arguments).await;
    assert_eq!((code, check(&said, "disk").0), (Some(1), "failure"));
    std::fs::remove_file(filled).unwrap();
    let _read_only = disk.read_only("state");
    for folder in ["state", "state/below"] {
        let state = disk.path().join(folder).display().to_string();
        let (code, said) = ground.doctor(&["--sandbox", "none", "--state-dir", &state]).await;
        let (found, says, mend) = check(&said, "state folder");
        assert_eq!((code, found), (Some(1), "failure"), "{said:#}");
        let there = disk.path().join("state").display().to_string();
        let remounts = format!("mount -o remount,rw \"$(findmnt -no TARGET -T {there})\"");
        assert!(mend.starts_with(&remounts) && mend.contains("--state-dir"), "{says}: {mend}");
    }
}

/// What an ordinary user is told, who may write to none of these folders.
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
    // The tests' own program may lie in somebody's home.
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
        #[expect(clippy::disallowed_methods, reason = "the tests start the runner as people do")]
        let mut doctor = std::process::Command::new(&program);
        doctor.env_clear().env("HOME", "/nonexistent").env("USER", "root").env("PATH", "/usr/bin:/bin");
        doctor.args(["doctor", "--json", "--mock", "--backend-url", "http://127.0.0.1:9", "--state-dir"]);
        doctor.arg(&state).current_dir("/");
        if root {
            std::os::unix::process::CommandExt::uid(&mut doctor, USER);
            std::os::unix::process::CommandExt::gid(&mut doctor, USER);
        }
        let output = Ran::beside(doctor).await;
        let said: Value = serde_json::from_str(&output.stdout).unwrap();
        let (found, _, mend) = check(&said, "state folder");
        let named = names.iter().all(|name| mend.contains(name));
        assert!(
            found == "failure" && named && !mend.contains("chown"),
            "{}: {found} {mend}",
            state.display()
        );
    }
    mode(&closed, 0o755);
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

/// Leaves something in a state folder.
type Leave = fn(&Path);

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
