//! Tests of settings from flags, environment and file, and of `runner config`.

mod check;
mod file;
mod passwords;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{Ran, command};

/// A home folder with a settings file.
struct Setup(TempDir);

impl Setup {
    fn with(settings: &str) -> Self {
        let setup = Self(tempfile::tempdir().unwrap());
        setup.write(settings);
        setup
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

    /// The command `runner ARGUMENTS --config FILE`.
    fn runner(&self, arguments: &str) -> Command {
        let mut command = command(self.path());
        command.args(arguments.split_whitespace()).args(["--config", &self.file()]);
        command
    }

    /// The line of `config show` about `key`, with single spaces between its columns.
    fn shows(&self, command: &mut Command, key: &str) -> String {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", error(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let named = |line: &&str| line.trim_start_matches("# ").split(' ').next() == Some(key);
        let line = text.lines().find(named).unwrap_or_else(|| panic!("no {key} in\n{text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ").replace(&self.file(), "FILE")
    }
}

/// The standard error of a runner that has ended.
fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the runner with these arguments. It is killed after 20 s.
fn bounded(arguments: &[&str], home: &Path) -> Ran {
    let runner = command(home);
    #[expect(clippy::disallowed_methods, reason = "a runner that does not end must not block the tests")]
    let mut timeout = Command::new("timeout");
    timeout.env_clear().envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    timeout.args(["-s", "KILL", "20"]).arg(runner.get_program()).args(arguments);
    Ran::of(&mut timeout)
}

#[test]
fn flags_override_environment_overrides_file() {
    let setup =
        Setup::with("# a comment\ntimeout = \"7m\"\nauth = true\nsandbox-readable = [\"/opt\", \"/srv\"]\n");
    let show = || setup.runner("config show");
    assert_eq!(setup.shows(&mut show(), "attempts"), "attempts = 3 # default");
    assert_eq!(setup.shows(&mut show(), "timeout"), "timeout = \"7m\" # file FILE:2");
    assert_eq!(setup.shows(&mut show(), "auth"), "auth = true # file FILE:3");
    assert_eq!(
        setup.shows(&mut show(), "sandbox_readable"),
        "sandbox_readable = [\"/opt\", \"/srv\"] # file FILE:4"
    );
    let mut environment = show();
    environment
        .env("RUNNER_TIMEOUT", "8m")
        .env("RUNNER_AUTH", "no")
        .env("RUNNER_SANDBOX_READABLE", "/usr/lib");
    assert_eq!(setup.shows(&mut environment, "timeout"), "timeout = \"8m\" # environment RUNNER_TIMEOUT");
    assert_eq!(setup.shows(&mut environment, "auth"), "auth = \"no\" # environment RUNNER_AUTH");
    let readable = "sandbox_readable = [\"/usr/lib\"] # environment RUNNER_SANDBOX_READABLE";
    assert_eq!(
        setup.shows(&mut environment, "sandbox_readable"),
        readable,
        "the environment's list does not replace the file's list"
    );
    for arguments in ["--timeout 9m config show", "config show --timeout 9m", "config --timeout 9m show"] {
        let mut flag = setup.runner(arguments);
        flag.env("RUNNER_TIMEOUT", "8m");
        assert_eq!(setup.shows(&mut flag, "timeout"), "timeout = \"9m\" # flag", "{arguments}");
    }
    let mut flag = setup.runner("config show --sandbox-readable /usr/share");
    assert_eq!(setup.shows(&mut flag, "sandbox_readable"), "sandbox_readable = [\"/usr/share\"] # flag");
}

#[test]
fn file_values_take_effect() {
    let setup = Setup::with("max_error_details = 40\n");
    fs::write(setup.path().join("none.txt"), "no report").unwrap();
    let details = |command: &mut Command| {
        let body: serde_json::Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
        body["errorDetails"].as_str().unwrap().chars().count()
    };
    let arguments = format!("parse-report {}/none.txt", setup.path().display());
    assert_eq!(details(&mut setup.runner(&arguments)), 40);
    let whole = details(setup.runner(&arguments).env("RUNNER_MAX_ERROR_DETAILS", "255"));
    assert!(whole > 40, "{whole}");
    assert_eq!(
        details(command(setup.path()).args(arguments.split(' ')).env("RUNNER_CONFIG", setup.file())),
        40
    );
}

#[test]
fn show_output_is_a_valid_file_and_json() {
    let setup = Setup::with("test_command = '''sh \"it's\" {src} {report}'''\nkeep_tasks = 5\n");
    let output = setup.runner("config show").output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    setup.write(&shown);
    assert!(shown.contains("# drain_timeout = \"600 s\""), "{shown}");
    let test_command = setup.shows(&mut setup.runner("config show"), "test_command");
    assert!(
        test_command.starts_with(r#"test_command = "sh \"it's\" {src} {report}" # file FILE:"#),
        "{test_command}"
    );
    let output = setup.runner("config show --json").env("RUNNER_CONCURRENT", "3").output().unwrap();
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
        keys(&setup.runner("config show --json").output().unwrap()),
        "the order is stable"
    );
}

#[test]
fn settings_may_come_from_pipes() {
    let setup = Setup::with("timeout = 5\n");
    let script = r#"
        set -e
        "$0" config check --password-file <(sleep 0.3; printf 'a word') --config <(sleep 0.3; echo 'timeout = 7')
        printf 'a word' | "$0" config check --password-file /dev/stdin
        mkfifo pipe
        { sleep 0.5; echo 'timeout = 8'; sleep 0.3; echo 'attempts = 2'; } > pipe &
        "$0" config check --config pipe
        if "$0" config check --password-file <(:); then exit 1; fi"#;
    let runner = command(setup.path());
    #[expect(clippy::disallowed_methods, reason = "the test needs a shell for its pipes")]
    let mut bash = Command::new("bash");
    bash.env_clear().envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bash.arg("-c").arg(script).arg(runner.get_program()).current_dir(setup.path());
    let ran = Ran::of(&mut bash).ends_with(0).names(&["--password-file /dev/fd/"]);
    assert_eq!(ran.stdout.lines().count(), 3);
    assert!(ran.stdout.contains("1 by /dev/fd/") && ran.stdout.contains("2 by pipe"));
}
