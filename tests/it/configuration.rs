//! Settings from flags, environment and file, and what `runner config` says of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use mock_backend::{Settings, User};
use tempfile::TempDir;

use crate::support::{World, command, eventually};

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
fn flags_go_before_the_environment_and_that_before_the_file() {
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
fn the_values_reach_the_work_and_not_only_the_table() {
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
fn what_is_wrong_in_the_file_is_one_line_with_place_key_value_and_what_is_taken() {
    for (settings, says) in [
        (
            "\ntimeout = \"soon\"",
            "FILE:2: timeout: invalid value 'soon' for '--timeout <DURATION>': expected seconds (5, 0.1)",
        ),
        (
            "concurrent = 0",
            "FILE:1: concurrent: invalid value '0' for '--concurrent <COUNT>': expected a whole number from 1",
        ),
        ("concurrent = -1", "FILE:1: concurrent: invalid value '-1'"),
        (
            "auth = \"perhaps\"",
            "FILE:1: auth: invalid value 'perhaps' for '--auth[=<true|false>]': expected true",
        ),
        ("logger_level = \"loud\"", "[possible values: debug, info, warning, error, critical]"),
        ("sandbox_uid = 5", "FILE:1: sandbox_uid: invalid value '5'"),
        ("backend_url = \"http://u:secret@h/?q\"", "http://***@h/?***"),
        ("timeout = 5\ntimout = 5", "FILE:2: timout: there is no such setting; did you mean timeout?"),
        (
            "back-end-url = \"http://h\"",
            "FILE:1: back-end-url: there is no such setting; did you mean backend_url?",
        ),
        ("xyzzy = 1", "FILE:1: xyzzy: there is no such setting; `runner config show` lists all"),
        ("lab = 1", "FILE:1: lab: there is no such setting"),
        ("timeout = 5\n[backend]\nlogin = \"x\"", "FILE:2: backend: settings are not in sections"),
        ("timeout = [1, 2]", "FILE:1: timeout: it takes one value"),
        ("timeout = 1979-05-27", "FILE:1: timeout: expected a text in quotes, a number, true or false"),
        ("state_dir = \"/a\"\n\nstate-dir = \"/b\"", "FILE:3: state-dir: line 1 gives it too"),
        ("timeout = 5\ntimeout = 6", "FILE:2: duplicate key"),
        ("\n\ntimeout = = 5", "FILE:3: "),
    ] {
        let desk = Desk::with(settings);
        let output = desk.runner("config check").output().unwrap();
        let line = error(&output).replace(&desk.file(), "FILE");
        assert_eq!(output.status.code(), Some(2), "{settings}: {line}");
        assert!(line.contains(says), "{settings}: {line}");
        assert_eq!((line.lines().count(), output.stdout.len()), (1, 0), "{settings}: {line}");
    }
}

#[test]
fn the_daemon_too_refuses_a_wrong_file_and_one_that_is_not_there() {
    let desk = Desk::with("nonsense = 1");
    // The folder ends a daemon that takes the file after all.
    for words in ["--state-dir /dev/null/x", "spool list", "config show"] {
        let output = desk.runner(words).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(error(&output).contains("nonsense"), "{words}: {}", error(&output));
    }
    fs::remove_file(desk.file()).unwrap();
    let output = desk.runner("config check").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        error(&output),
        format!("runner: --config {}: No such file or directory (os error 2)\n", desk.file())
    );
    assert!(desk.runner("--help").output().unwrap().status.success(), "help is given all the same");
}

#[test]
fn check_says_in_one_line_that_all_is_right() {
    let desk = Desk::with("timeout = 5\nauth = true\n");
    let output = desk.runner("config check --concurrent 3").env("RUNNER_ATTEMPTS", "2").output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{line}");
    // The file itself is named by a flag.
    let counted = format!("2 by flags, 1 by the environment, 2 by {}", desk.file());
    assert!(line.contains(&counted) && line.lines().count() == 1, "{line}");
    let output = desk.runner("config check --password-file /no/such/file").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error(&output).contains("--password-file /no/such/file"), "{}", error(&output));
    assert!(!desk.path().join(".local").exists(), "checking makes no folders");
}

#[test]
fn check_refuses_what_the_daemon_refuses_and_makes_nothing() {
    let desk = Desk::with("timeout = 5\n");
    let here = desk.path().display().to_string();
    std::os::unix::fs::symlink("/no/such/folder", desk.path().join("link")).unwrap();
    fs::create_dir(desk.path().join("s")).unwrap();
    for (words, check, daemon) in [
        ("--sandbox-readable /", "--sandbox-readable /: a task has /tmp of its own", ""),
        ("--sandbox-readable usr", "--sandbox-readable usr: expected an absolute path", ""),
        ("--state-dir HERE/a:b", "--state-dir HERE/a:b: a folder with `:` in its path cannot be used", ""),
        ("--state-dir HERE/a:b/{slot}", "--state-dir HERE/a:b/1: a folder with `:` in its path", ""),
        ("--work-dir HERE/a:b", "--work-dir HERE/a:b: a folder with `:` in its path cannot be used", ""),
        (
            "--state-dir HERE/runner.toml",
            "--state-dir HERE/runner.toml: HERE/runner.toml is no folder; give another",
            "--state-dir HERE/runner.toml: File exists",
        ),
        (
            "--work-dir HERE/runner.toml/x/y",
            "--work-dir HERE/runner.toml/x/y: HERE/runner.toml is no folder",
            "--work-dir HERE/runner.toml/x/y: Not a directory",
        ),
        (
            "--state-dir HERE/link",
            "--state-dir HERE/link: HERE/link is a link to nothing",
            "--state-dir HERE/link: File exists",
        ),
        (
            "--logger-output HERE/logs/x",
            "--logger-output HERE/logs/x: the folder HERE/logs is not there; make it",
            "--logger-output HERE/logs/x: No such file",
        ),
        (
            "--logger-output HERE/s",
            "--logger-output HERE/s: it is a folder; name a file in it",
            "--logger-output HERE/s: Is a directory",
        ),
        (
            "--work-dir /proc/y",
            "--work-dir /proc/y: no folder can be made in /proc; give another",
            "--work-dir /proc/y: No such file",
        ),
        (
            "--sandbox-readable /usr,/no/such",
            "--sandbox-readable /no/such: it is not there; make or mount",
            "",
        ),
        (
            "--state-dir HERE/state --sandbox-readable HERE",
            "--sandbox-readable HERE: the runner keeps its own things in HERE/state",
            "",
        ),
    ] {
        for (mode, says) in [("config check", check), ("", if daemon.is_empty() { check } else { daemon })] {
            let state = if words.contains("--state-dir") { "" } else { "--state-dir HERE/s" };
            let words = format!("{mode} --mock {state} {words}").replace("HERE", &here);
            let output = bounded(&words.split_whitespace().collect::<Vec<_>>(), desk.path());
            let (line, says) = (error(&output), says.replace("HERE", &here));
            assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{words}: {line}");
            assert!(line.starts_with(&format!("runner: {says}")), "{words}: {line}");
            let made = !mode.is_empty()
                && ["a:b", "state", "logs"].iter().any(|name| desk.path().join(name).exists());
            assert!(!made, "{words}: checking makes no folders");
        }
        fs::remove_dir_all(desk.path().join("a:b")).ok();
    }
    for words in
        ["--logger-output HERE/log", "--logger-output=", "--state-dir HERE/new/{slot}", "--state-dir ."]
    {
        let output = desk.runner(&format!("config check {words}").replace("HERE", &here)).output().unwrap();
        assert!(output.status.success(), "{words}: {}", error(&output));
    }
    assert!(!desk.path().join("log").exists() && !desk.path().join("new").exists());
}

#[test]
fn a_read_only_state_folder_is_said_once() {
    let Some(disk) = crate::support::SmallDisk::new("4m") else { return };
    let state = disk.path().join("state");
    fs::create_dir_all(state.join("work")).unwrap();
    let _read_only = disk.read_only("state");
    let state = state.display().to_string();
    let output = bounded(&["--mock", "--state-dir", &state], disk.path());
    let expected = format!(
        "runner: the spool cannot be opened: cannot open the lock file {state}/runner.lock: Read-only file system (os error 30)\n"
    );
    assert_eq!((output.status.code(), error(&output)), (Some(2), expected));
}

#[test]
fn show_can_be_kept_as_a_file_and_read_as_json() {
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
fn a_password_is_never_shown() {
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
fn a_file_with_a_password_is_its_owners_alone() {
    let desk = Desk::with("timeout = 5\npassword = \"word\"\n");
    for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
        desk.mode(mode);
        let output = desk.runner("config check").output().unwrap();
        let says = format!(
            "runner: {file}:2: password: others than its owner have access to the file (mode {mode:04o}); chmod 600 {file}\n",
            file = desk.file()
        );
        assert_eq!((output.status.code(), error(&output)), (Some(2), says));
    }
    desk.mode(0o400);
    assert!(desk.runner("config check").output().unwrap().status.success());
    desk.write("timeout = 5\n");
    desk.mode(0o644);
    assert!(desk.runner("config check").output().unwrap().status.success(), "there is nothing to hide in it");
}

#[test]
fn a_file_without_an_end_and_a_pipe_without_a_writer_are_one_line() {
    let desk = Desk::with("timeout = 5\n");
    let pipe = desk.path().join("pipe").display().to_string();
    let made = nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600));
    made.unwrap();
    let long = desk.path().join("long").display().to_string();
    fs::write(&long, "#".repeat((1 << 20) + 1)).unwrap();
    for (option, file, says) in [
        ("--config", "/dev/zero", "it is longer than 1024 KiB"),
        ("--config", &long, "it is longer than 1024 KiB"),
        ("--config", &pipe, "nobody has written to the end of it within 5 s"),
        ("--password-file", "/dev/zero", "it is longer than 64 KiB"),
        ("--password-file", &long, "it is longer than 64 KiB"),
        ("--password-file", &pipe, "nobody has written to the end of it within 5 s"),
        ("--password-file", "/dev/null", "it is empty"),
        ("--password-file", "/", "Is a directory (os error 21)"),
    ] {
        let output = bounded(&["config", "check", option, file], desk.path());
        let expected = format!("runner: {option} {file}: {says}\n");
        assert_eq!((output.status.code(), error(&output)), (Some(2), expected));
    }
}

#[test]
fn a_pipe_is_a_file_too() {
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
    let output = bash.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", error(&output));
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(said.contains("1 by /dev/fd/") && said.contains("2 by pipe"), "{said}");
    assert!(error(&output).contains("it is empty"), "{}", error(&output));
}

/// The runner with these arguments, ended after 20 s whatever it does.
fn bounded(arguments: &[&str], home: &Path) -> Output {
    let runner = command(home);
    #[expect(clippy::disallowed_methods, reason = "what does not end must not hold the tests up")]
    let mut timeout = Command::new("timeout");
    timeout.env_clear().envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    timeout.args(["-s", "KILL", "20"]).arg(runner.get_program()).args(arguments).output().unwrap()
}

fn with_a_user(password: &str) -> Settings {
    Settings { auth: true, users: vec![User::admin("dora_explorer", password)], ..Settings::default() }
}

#[tokio::test]
async fn systemds_credential_is_found_by_itself() {
    let credentials = tempfile::tempdir().unwrap();
    let folder = credentials.path().to_str().unwrap();
    let mut world = World::with(with_a_user("from-systemd"), &["--auth"]).await;
    eventually("the built-in password is refused", || world.runner.log().contains("refuses the login")).await;
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
    eventually("it logs in", || world.runner.log().contains("logged in")).await;
    world.answer(&world.submit(r#"printf %s "$PASS" > "$REPORT""#)).await;
    assert!(!world.runner.log().contains("refuses the login"), "{}", world.runner.log());
}

#[tokio::test]
async fn a_password_on_the_command_line_is_taken_and_warned_about_once() {
    let world = World::with(with_a_user("on-the-line"), &["--auth", "--password", "on-the-line"]).await;
    world.answer(&world.submit(r#"printf %s "$PASS" > "$REPORT""#)).await;
    let log = world.runner.log();
    let warnings = log.lines().filter(|line| line.contains("--password was on the command line")).count();
    assert_eq!(warnings, 1, "{log}");
    assert!(log.contains("prefer --password-file") && !log.contains("on-the-line"), "{log}");
    let other = World::with(Settings::default(), &[]).await;
    eventually("it starts", || other.runner.log().contains("the runner starts")).await;
    assert!(!other.runner.log().contains("--password was"));
}

#[tokio::test]
async fn a_wrong_file_makes_no_running_runner_look_ill() {
    let world = World::with(Settings::default(), &["--listen", "127.0.0.1:0"]).await;
    let address = crate::observing::address(&world.runner).await;
    let desk = Desk::with("timout = 5\n");
    let state = world.folder().join("state").display().to_string();
    for (words, code) in [
        (format!("healthcheck --url http://{address}"), 0),
        (format!("spool list --state-dir {state}"), 0),
        (format!("run . --state-dir {state}"), 2),
    ] {
        let output = desk.runner(&words).output().unwrap();
        let said = error(&output);
        assert_eq!(output.status.code(), Some(code), "{words}: {said}");
        assert!(
            said.contains("timout") && said.contains("going on without") == (code == 0),
            "{words}: {said}"
        );
    }
}
