//! `runner doctor`: what it finds, what it says to mend it, and that it disturbs nobody.

use std::path::Path;

use mock_backend::{Endpoint, MockBackend, NewTask, Settings, Status, User};
use serde_json::Value;

use crate::support::{BINARY, PASS, Ran, SmallDisk, World, command, eventually, have, scripted_suite};

/// A backend, a suite and a home, without a runner.
pub struct Ground {
    pub home: tempfile::TempDir,
    pub backend: MockBackend,
    pub suite: String,
}

impl Ground {
    pub async fn new(settings: Settings) -> Self {
        let home = tempfile::tempdir().unwrap();
        let suite = scripted_suite(&home.path().join("suite"));
        Self { backend: MockBackend::start(settings).await.unwrap(), suite, home }
    }

    pub async fn doctor(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let url = self.backend.url();
        let fixed = ["--backend-url", &url, "--tests-url", &self.suite, "--json"];
        run(self.home.path(), &[&fixed[..], arguments].concat(), &[]).await
    }
}

/// The mock backend lives in this thread's runtime, so the wait must not block it.
pub async fn start(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut doctor = command(home);
    doctor.arg("doctor").args(arguments).envs(environment.iter().copied());
    Ran::beside(doctor).await
}

pub async fn run(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, Value) {
    let output = start(home, arguments, environment).await;
    let said = serde_json::from_str(&output.stdout);
    let said: Value = said.unwrap();
    assert_eq!(said["ok"] == true, output.code == Some(0), "{said:#}");
    (output.code, said)
}

/// State, words and remedy of one check.
pub fn check<'a>(said: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let found = said["checks"].as_array().unwrap().iter().find(|check| check["check"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {said:#}"));
    let text = |field: &str| found[field].as_str().unwrap_or_default();
    (text("state"), text("says"), text("mend"))
}

fn auth() -> Settings {
    Settings { auth: true, ..Settings::default() }
}

#[tokio::test]
async fn healthy_machine_passes_and_claims_nothing() {
    let ground = Ground::new(auth()).await;
    let id = ground.backend.submit(NewTask::new("https://example.org/x.git", "main"));
    let (code, said) = ground.doctor(&["--auth"]).await;
    assert_eq!(code, Some(0), "{said:#}");
    for (name, value) in [
        ("python3", "3."),
        ("environments", ""),
        ("cc", "/cc"),
        ("make", "/make"),
        ("suite", ""),
        ("backend", ""),
        ("login", "dora_explorer"),
        ("role", "ADMIN"),
        ("clock", ""),
        ("state folder", ""),
        ("disk", "MB"),
    ] {
        let (state, says, mend) = check(&said, name);
        assert!(state == "ok" && says.contains(value) && mend.is_empty(), "{name}: {state} {says} {mend}");
    }
    for name in ["sandbox", "sandbox landlock", "sandbox memory", "core pattern", "open files", "processes"] {
        check(&said, name);
    }
    assert_eq!(ground.backend.status_of(&id), Some(Status::Pending));
    assert!(ground.backend.requests().iter().all(|request| request.endpoint != Some(Endpoint::Claim)));
    assert!(ground.backend.requests().iter().all(|request| !request.path.contains("available")));
    assert!(ground.backend.violations().is_empty() && ground.backend.refusals().is_empty());
    let left: Vec<_> =
        std::fs::read_dir(ground.home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name == ".local"), "{left:?}");
}

#[tokio::test]
async fn doctor_does_not_disturb_running_runner() {
    let world = World::with(auth(), &["--auth", "--refresh-time", "1"]).await;
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    let (state, suite) = (world.folder().join("state"), format!("file://{}/suite", world.folder().display()));
    let url = world.backend.url();
    let arguments = [
        "--json",
        "--auth",
        "--backend-url",
        &url,
        "--tests-url",
        &suite,
        "--state-dir",
        state.to_str().unwrap(),
    ];
    let slow = world.submit(&format!("sleep 1; {PASS}"));
    eventually("it runs", || world.runner.events("task_started").len() == 2).await;
    for _ in 0..2 {
        let (code, said) = run(world.folder(), &arguments, &[]).await;
        assert_eq!(code, Some(0), "{said:#}");
        let (state, says, _) = check(&said, "lock");
        assert!(state == "ok" && says.contains(&world.runner.pid().to_string()), "{says}");
    }
    assert_eq!(world.answer(&slow).await["isPassed"], true);
    assert_eq!(world.answer(&world.submit(PASS)).await["isPassed"], true);
    eventually("the folders go", || std::fs::read_dir(world.work()).unwrap().next().is_none()).await;
    world.assert_clean();
    let log = world.runner.log();
    assert!(!world.runner.logged("login_refused") && !log.contains(r#""level":"error""#), "{log}");
}

#[tokio::test]
async fn missing_programs_are_named_with_install_command() {
    let ground = Ground::new(Settings::default()).await;
    let url = ground.backend.url();
    let arguments = ["--backend-url", &url, "--tests-url", &ground.suite, "--sandbox", "none"];
    let output = start(ground.home.path(), &arguments, &[("PATH", "")]).await;
    assert_eq!(output.code, Some(1));
    let said = output.stdout.clone();
    let lines: Vec<&str> = said.lines().collect();
    for (name, mend) in [
        ("python3", "apt-get install python3 python3-venv"),
        ("environments", "apt-get install python3-venv"),
        ("cc", "apt-get install gcc libc6-dev"),
        ("make", "apt-get install make"),
    ] {
        let at = lines.iter().position(|line| line.starts_with(&format!("failure  {name} ")));
        let at = at.unwrap_or_else(|| panic!("{name} is missing:\n{said}"));
        assert!(lines[at + 1].ends_with(mend), "{said}");
    }
    assert!(said.contains("\nok       suite "), "git needs no program:\n{said}");
    assert!(said.contains("\nwarning  sandbox            none"), "{said}");
    assert!(lines.last().unwrap().split([' ', ',']).any(|word| word == "4"), "{said}");
}

#[tokio::test]
async fn detects_python_without_venv() {
    let ground = Ground::new(Settings::default()).await;
    let path = ground.home.path().join("bin");
    std::fs::create_dir(&path).unwrap();
    let python = "#!/bin/sh\ncase \"$3\" in *ensurepip*) echo 'No module named ensurepip' >&2; exit 1;; esac\necho 3.9.9\n";
    std::fs::write(path.join("python3"), python).unwrap();
    std::fs::set_permissions(path.join("python3"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let url = ground.backend.url();
    let arguments = ["--json", "--backend-url", &url, "--tests-url", &ground.suite, "--sandbox", "none"];
    let (_, said) = run(ground.home.path(), &arguments, &[("PATH", path.to_str().unwrap())]).await;
    assert_eq!(check(&said, "python3").0, "ok");
    let (state, says, mend) = check(&said, "environments");
    assert!(state == "failure" && says.contains("No module named ensurepip"), "{says}");
    assert_eq!(mend, "apt-get install python3-venv");
}

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
    const USER: u32 = 12_345;
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

/// The doctor in a world that `prepare`, a command with its arguments, has made.
async fn in_world(prepare: &[&str], home: &Path, environment: &[(&str, &str)]) -> Value {
    let usual = command(home);
    let program = ostest_runner::executors::find_program(prepare[0]).unwrap();
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
