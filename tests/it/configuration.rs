//! Settings from flags, environment and file, and what `runner config` says of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use mock_backend::{Settings, User};
use tempfile::TempDir;

use crate::support::{PASS, Ran, World, command, eventually};

/// A folder with a file of settings, and the runner on it.
struct Desk(TempDir);

impl Desk {
    fn with(settings: &str) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.write(settings);
        desk
    }

    fn write(&self, settings: &str) {
        fs::write(self.file(), settings).unwrap();
        self.mode(0o600);
    }

    fn mode(&self, mode: u32) {
        fs::set_permissions(self.file(), Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self) -> String {
        self.path().join("runner.toml").display().to_string()
    }

    /// `runner WORDS --config FILE`
    fn runner(&self, words: &str) -> Command {
        let mut command = command(self.path());
        command.args(words.split_whitespace()).args(["--config", &self.file()]);
        command
    }

    /// The line of `config show` about `key`, its columns one space apart.
    fn shows(&self, command: &mut Command, key: &str) -> String {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", error(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let named = |line: &&str| line.trim_start_matches("# ").split(' ').next() == Some(key);
        let line = text.lines().find(named).unwrap_or_else(|| panic!("no {key} in\n{text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ").replace(&self.file(), "FILE")
    }
}

/// What a runner said on its way out.
fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn flags_override_environment_overrides_file() {
    let desk =
        Desk::with("# a comment\ntimeout = \"7m\"\nauth = true\nsandbox-readable = [\"/opt\", \"/srv\"]\n");
    let show = || desk.runner("config show");
    assert_eq!(desk.shows(&mut show(), "attempts"), "attempts = 3 # default");
    assert_eq!(desk.shows(&mut show(), "timeout"), "timeout = \"7m\" # file FILE:2");
    assert_eq!(desk.shows(&mut show(), "auth"), "auth = true # file FILE:3");
    assert_eq!(
        desk.shows(&mut show(), "sandbox_readable"),
        "sandbox_readable = [\"/opt\", \"/srv\"] # file FILE:4"
    );
    let mut environment = show();
    environment
        .env("RUNNER_TIMEOUT", "8m")
        .env("RUNNER_AUTH", "no")
        .env("RUNNER_SANDBOX_READABLE", "/usr/lib");
    assert_eq!(desk.shows(&mut environment, "timeout"), "timeout = \"8m\" # environment RUNNER_TIMEOUT");
    assert_eq!(desk.shows(&mut environment, "auth"), "auth = \"no\" # environment RUNNER_AUTH");
    let readable = "sandbox_readable = [\"/usr/lib\"] # environment RUNNER_SANDBOX_READABLE";
    assert_eq!(desk.shows(&mut environment, "sandbox_readable"), readable, "lists are not mixed");
    for words in ["--timeout 9m config show", "config show --timeout 9m", "config --timeout 9m show"] {
        let mut flag = desk.runner(words);
        flag.env("RUNNER_TIMEOUT", "8m");
        assert_eq!(desk.shows(&mut flag, "timeout"), "timeout = \"9m\" # flag", "{words}");
    }
    let mut flag = desk.runner("config show --sandbox-readable /usr/share");
    assert_eq!(desk.shows(&mut flag, "sandbox_readable"), "sandbox_readable = [\"/usr/share\"] # flag");
}

#[test]
fn file_values_take_effect() {
    let desk = Desk::with("max_error_details = 40\n");
    fs::write(desk.path().join("none.txt"), "no report").unwrap();
    let details = |command: &mut Command| {
        let body: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        body["errorDetails"].as_str().unwrap().chars().count()
    };
    let words = format!("parse-report {}/none.txt", desk.path().display());
    assert_eq!(details(&mut desk.runner(&words)), 40);
    let whole = details(desk.runner(&words).env("RUNNER_MAX_ERROR_DETAILS", "255"));
    assert!(whole > 40, "{whole}");
    assert_eq!(details(command(desk.path()).args(words.split(' ')).env("RUNNER_CONFIG", desk.file())), 40);
}

#[test]
fn wrong_file_error_names_line_and_key() {
    let cases: [(&str, &[&str]); 17] = [
        ("\ntimeout = \"soon\"", &["FILE:2: timeout: ", "'soon'", "--timeout", "5, 0.1"]),
        ("concurrent = 0", &["FILE:1: concurrent: ", "'0'", "--concurrent", "1"]),
        ("concurrent = -1", &["FILE:1: concurrent: ", "'-1'"]),
        ("auth = \"perhaps\"", &["FILE:1: auth: ", "'perhaps'", "--auth", "true"]),
        ("logger_level = \"loud\"", &["logger_level", "debug, info, warning, error, critical"]),
        ("sandbox_uid = 5", &["FILE:1: sandbox_uid: ", "'5'"]),
        ("backend_url = \"http://u:secret@h/?q\"", &["http://***@h/?***"]),
        ("timeout = 5\ntimout = 5", &["FILE:2: timout: ", " timeout?"]),
        ("back-end-url = \"http://h\"", &["FILE:1: back-end-url: ", " backend_url?"]),
        ("xyzzy = 1", &["FILE:1: xyzzy: ", "`runner config show`"]),
        ("lab = 1", &["FILE:1: lab: "]),
        ("timeout = 5\n[backend]\nlogin = \"x\"", &["FILE:2: backend: "]),
        ("timeout = [1, 2]", &["FILE:1: timeout: "]),
        ("timeout = 1979-05-27", &["FILE:1: timeout: "]),
        ("state_dir = \"/a\"\n\nstate-dir = \"/b\"", &["FILE:3: state-dir: ", "1"]),
        ("timeout = 5\ntimeout = 6", &["FILE:2: "]),
        ("\n\ntimeout = = 5", &["FILE:3: "]),
    ];
    for (settings, names) in cases {
        let desk = Desk::with(settings);
        let ran = Ran::of(&mut desk.runner("config check")).ends_with(2).names(&[]);
        let line = ran.stderr.replace(&desk.file(), "FILE");
        for name in names {
            assert!(line.contains(name), "{settings}: {name:?} is not in {line}");
        }
        assert_eq!(ran.stdout, "", "{settings}");
    }
}

#[test]
fn every_command_refuses_wrong_file() {
    let desk = Desk::with("nonsense = 1");
    // The folder ends a daemon that takes the file after all.
    for words in ["--state-dir /dev/null/x", "spool list", "config show"] {
        Ran::of(&mut desk.runner(words)).ends_with(2).names(&["nonsense"]);
    }
    fs::remove_file(desk.file()).unwrap();
    let file = format!("--config {}: ", desk.file());
    Ran::of(&mut desk.runner("config check")).ends_with(2).names(&[&file]);
    Ran::of(&mut desk.runner("--help")).ends_with(0);
}

#[test]
fn check_counts_settings_by_origin() {
    let desk = Desk::with("timeout = 5\nauth = true\n");
    let mut check = desk.runner("config check --concurrent 3");
    let ran = Ran::of(check.env("RUNNER_ATTEMPTS", "2")).ends_with(0);
    assert_eq!(ran.stdout.lines().count(), 1);
    // The file itself is named by a flag.
    let counts: Vec<_> = ran.stdout.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let counts: Vec<_> = counts.windows(2).filter(|two| two[1] == "by").map(|two| two[0]).collect();
    assert_eq!(counts, ["2", "1", "2"], "flags, environment, file");
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

#[test]
fn show_output_is_a_valid_file_and_json() {
    let desk = Desk::with("test_command = '''sh \"it's\" {src} {report}'''\nkeep_tasks = 5\n");
    let output = desk.runner("config show").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    desk.write(&shown);
    assert!(shown.contains("# drain_timeout = \"600 s\""), "{shown}");
    let test_command = desk.shows(&mut desk.runner("config show"), "test_command");
    assert!(
        test_command.starts_with(r#"test_command = "sh \"it's\" {src} {report}" # file FILE:"#),
        "{test_command}"
    );
    let output = desk.runner("config show --json").env("RUNNER_CONCURRENT", "3").output().unwrap();
    let all: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let find = |key: &str| all.iter().find(|value| value["key"] == key).unwrap();
    let expected = serde_json::json!({
        "key": "concurrent", "value": "3", "origin": "environment RUNNER_CONCURRENT",
        "flag": "--concurrent", "environment": "RUNNER_CONCURRENT",
    });
    assert_eq!(*find("concurrent"), expected);
    assert_eq!(find("tests_ref")["value"], serde_json::Value::Null);
    let keys = |output: &Output| {
        let all: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        all.iter().map(|value| value["key"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&output),
        keys(&desk.runner("config show --json").output().unwrap()),
        "the order is stable"
    );
}

#[test]
fn config_never_shows_passwords() {
    let desk = Desk::with(
        "password = \"word-in-file\"\nauth = true\ntests_url = \"https://u:word-in-url@h/x.git?t=word-in-query\"\nget_api = \"/a?token=word-in-path\"\n",
    );
    fs::write(desk.path().join("secret"), "word-in-secret").unwrap();
    let secret = format!("--password-file {}/secret", desk.path().display());
    for (words, environment, origin) in [
        ("", "", "file FILE:1".to_owned()),
        ("", "word-in-environment", "environment RUNNER_PASSWORD".to_owned()),
        ("--password word-in-flag", "word-in-environment", "flag".to_owned()),
        (secret.as_str(), "word-in-environment", format!("file {}/secret", desk.path().display())),
    ] {
        for json in ["", "--json"] {
            let mut command = desk.runner(&format!("config show {json} {words}"));
            if !environment.is_empty() {
                command.env("RUNNER_PASSWORD", environment);
            }
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout.clone()).unwrap() + &error(&output);
            assert!(output.status.success() && !text.contains("word-in"), "{words}: {text}");
            if json.is_empty() {
                assert_eq!(desk.shows(&mut command, "password"), format!("# password = *** # {origin}"));
            }
        }
    }
    let tests_url = desk.shows(&mut desk.runner("config show"), "tests_url");
    assert_eq!(tests_url, "tests_url = \"https://***@h/x.git?***\" # file FILE:3");
    let check = desk.runner("config check").output().unwrap();
    assert!(check.status.success(), "{}", error(&check));
}

#[test]
fn file_with_password_must_be_private() {
    let desk = Desk::with("timeout = 5\npassword = \"word\"\n");
    for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
        desk.mode(mode);
        let (place, mends) = (format!("{}:2: password: ", desk.file()), format!("chmod 600 {}", desk.file()));
        let ran = Ran::of(&mut desk.runner("config check")).ends_with(2);
        ran.names(&[&place, &format!("{mode:04o}"), &mends]);
    }
    desk.mode(0o400);
    assert!(desk.runner("config check").output().unwrap().status.success());
    desk.write("timeout = 5\n");
    desk.mode(0o644);
    assert!(desk.runner("config check").output().unwrap().status.success(), "there is nothing to hide in it");
}

#[test]
fn endless_files_and_silent_pipes_are_refused() {
    let desk = Desk::with("timeout = 5\n");
    let pipe = desk.path().join("pipe").display().to_string();
    let made = nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600));
    made.unwrap();
    let long = desk.path().join("long").display().to_string();
    fs::write(&long, "#".repeat((1 << 20) + 1)).unwrap();
    for (option, file, names) in [
        ("--config", "/dev/zero", "1024 KiB"),
        ("--config", &long, "1024 KiB"),
        ("--config", &pipe, "5 s"),
        ("--password-file", "/dev/zero", "64 KiB"),
        ("--password-file", &long, "64 KiB"),
        ("--password-file", &pipe, "5 s"),
        ("--password-file", "/dev/null", "empty"),
        ("--password-file", "/", "Is a directory"),
    ] {
        let ran = bounded(&["config", "check", option, file], desk.path()).ends_with(2);
        ran.names(&[&format!("{option} {file}: "), names]);
    }
}

#[test]
fn settings_may_come_from_pipes() {
    let desk = Desk::with("timeout = 5\n");
    let script = r#"
        set -e
        "$0" config check --password-file <(sleep 0.3; printf 'a word') --config <(sleep 0.3; echo 'timeout = 7')
        printf 'a word' | "$0" config check --password-file /dev/stdin
        mkfifo pipe
        { sleep 0.5; echo 'timeout = 8'; sleep 0.3; echo 'attempts = 2'; } > pipe &
        "$0" config check --config pipe
        if "$0" config check --password-file <(:); then exit 1; fi"#;
    let runner = command(desk.path());
    #[expect(clippy::disallowed_methods, reason = "a shell makes the pipes")]
    let mut bash = Command::new("bash");
    bash.env_clear().envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bash.arg("-c").arg(script).arg(runner.get_program()).current_dir(desk.path());
    let ran = Ran::of(&mut bash).ends_with(0).names(&["--password-file /dev/fd/"]);
    assert_eq!(ran.stdout.lines().count(), 3);
    assert!(ran.stdout.contains("1 by /dev/fd/") && ran.stdout.contains("2 by pipe"));
}

/// The runner with these arguments, ended after 20 s whatever it does.
fn bounded(arguments: &[&str], home: &Path) -> Ran {
    let runner = command(home);
    #[expect(clippy::disallowed_methods, reason = "what does not end must not hold the tests up")]
    let mut timeout = Command::new("timeout");
    timeout.env_clear().envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    timeout.args(["-s", "KILL", "20"]).arg(runner.get_program()).args(arguments);
    Ran::of(&mut timeout)
}

fn with_a_user(password: &str) -> Settings {
    Settings { auth: true, users: vec![User::admin("dora_explorer", password)], ..Settings::default() }
}

#[tokio::test]
async fn finds_systemd_credential() {
    let credentials = tempfile::tempdir().unwrap();
    let folder = credentials.path().to_str().unwrap();
    let mut world = World::with(with_a_user("from-systemd"), &["--auth"]).await;
    eventually("the built-in password is refused", || world.runner.logged("login_refused")).await;
    let folder_alone = [("CREDENTIALS_DIRECTORY", folder)];
    for name in ["ostest-runner.password", "password"] {
        fs::write(credentials.path().join(name), "from-systemd\n").unwrap();
        works_with(&mut world, &folder_alone).await;
        fs::remove_file(credentials.path().join(name)).unwrap();
    }
    // What is said goes before the credential.
    fs::write(credentials.path().join("password"), "wrong").unwrap();
    works_with(&mut world, &[("CREDENTIALS_DIRECTORY", folder), ("RUNNER_PASSWORD", "from-systemd")]).await;
}

async fn works_with(world: &mut World, environment: &[(&str, &str)]) {
    world.restart_with(environment);
    // And no question of the runner before it is under way any more, which would take the task with it.
    eventually("it logs in", || world.runner.logged("logged_in")).await;
    world.answer(&world.submit(PASS)).await;
    assert!(!world.runner.logged("login_refused"), "{}", world.runner.log());
}

#[tokio::test]
async fn password_on_command_line_warns_once() {
    let world = World::with(with_a_user("on-the-line"), &["--auth", "--password", "on-the-line"]).await;
    world.answer(&world.submit(PASS)).await;
    assert_eq!(world.runner.events("password_on_command_line").len(), 1);
    assert!(!world.runner.log().contains("on-the-line"));
    let other = World::with(Settings::default(), &[]).await;
    eventually("it starts", || other.runner.logged("runner_started")).await;
    assert!(!other.runner.logged("password_on_command_line"));
}

#[tokio::test]
async fn wrong_file_does_not_fail_healthcheck() {
    let world = World::with(Settings::default(), &["--listen", "127.0.0.1:0"]).await;
    let address = crate::observing::address(&world.runner).await;
    let desk = Desk::with("timout = 5\n");
    let state = world.folder().join("state").display().to_string();
    for (words, code) in [
        (format!("healthcheck --url http://{address}"), 0),
        (format!("spool list --state-dir {state}"), 0),
        (format!("run . --state-dir {state}"), 2),
    ] {
        Ran::of(&mut desk.runner(&words)).ends_with(code).names(&["timout"]);
    }
}
