//! Settings from flags, environment and file, and what `runner config` shows of them.

mod check;
mod file;
mod passwords;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{Ran, command};

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

/// The runner with these arguments, ended after 20 s whatever it does.
fn bounded(arguments: &[&str], home: &Path) -> Ran {
    let runner = command(home);
    #[expect(clippy::disallowed_methods, reason = "what does not end must not hold the tests up")]
    let mut timeout = Command::new("timeout");
    timeout.env_clear().envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    timeout.args(["-s", "KILL", "20"]).arg(runner.get_program()).args(arguments);
    Ran::of(&mut timeout)
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
