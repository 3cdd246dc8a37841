//! Tests of the texts about settings: values with origins, suggestions for misspelt names, and no secrets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{World, command, eventually};

/// `runner ARGUMENTS --config FILE`, where FILE has these settings.
fn with_file(home: &TempDir, settings: &str, arguments: &str) -> Command {
    let file = home.path().join("runner.toml");
    fs::write(&file, settings).unwrap();
    let mut command = command(home.path());
    command.args(arguments.split(' ')).arg("--config").arg(&file);
    command
}

fn output_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn shows_every_value_with_origin() {
    let home = tempfile::tempdir().unwrap();
    let show = |json: &[&str], environment: &[(&str, &str)]| {
        let mut show = command(home.path());
        show.args(["config", "show"]).args(json).envs(environment.iter().copied());
        let output = show.output().unwrap();
        assert!(output.status.success(), "{}", output_text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let line = |text: &str, key: &str| {
        let named = |line: &&str| line.trim_start_matches("# ").split(' ').next() == Some(key);
        let line = text.lines().find(named).unwrap_or_else(|| panic!("no {key} in\n{text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let systemd = [("STATE_DIRECTORY", "/var/lib/ostest-runner"), ("RUNNER_TIMEOUT", "90")];
    let text = show(&[], &systemd);
    for (key, shown) in [
        ("state_dir", "# state_dir = \"/var/lib/ostest-runner\" # $STATE_DIRECTORY"),
        ("work_dir", "# work_dir = \"/var/lib/ostest-runner/work\" # in state_dir"),
        ("drain_timeout", "# drain_timeout = \"90 s\" # as timeout"),
        ("logger_level", "# logger_level = \"info\" # default; warning for subcommands"),
        ("listen", "listen = \"none\" # default"),
        ("tests_ref", "# tests_ref is not set: its default branch # default"),
    ] {
        assert_eq!(line(&text, key), shown);
    }
    assert!(!text.contains(']') || text.lines().all(|line| !line.contains("]; with")), "{text}");
    let home_dir = format!("# state_dir = \"{}/.local/state/ostest-runner\" # $HOME", home.path().display());
    assert_eq!(line(&show(&[], &[]), "state_dir"), home_dir);
    let all: Vec<Value> = serde_json::from_str(&show(&["--json"], &systemd)).unwrap();
    let state = all.iter().find(|value| value["key"] == "state_dir").unwrap();
    assert_eq!(
        (&state["value"], &state["origin"]),
        (&"/var/lib/ostest-runner".into(), &"$STATE_DIRECTORY".into())
    );
    // The output is a valid settings file with the same values.
    let mut second_show = with_file(&home, &text, "config show");
    let second_show = second_show.envs(systemd).output().unwrap();
    assert_eq!(
        line(&output_text(&second_show), "state_dir"),
        line(&text, "state_dir"),
        "{}",
        output_text(&second_show)
    );
}

#[test]
fn suggests_setting_for_misspelt_name() {
    let home = tempfile::tempdir().unwrap();
    for (settings, suggestion) in [
        ("RUNNER_TIMEOUT = 5", " timeout?"),
        ("TIMEOUT = 5", " timeout?"),
        ("level = \"debug\"", " logger_level?"),
        ("url = \"http://h\"", " backend_url or tests_url?"),
        ("logging = 1", " logger_level, "),
        ("[backend]\nurl = \"http://h\"", " backend_url?"),
        ("backend.url = \"http://h\"", " backend_url?"),
        ("[request]\ntimeout = 5", " request_timeout?"),
        ("[worker]\ntimeout = 5", " timeout?"),
    ] {
        let output = with_file(&home, settings, "config check").output().unwrap();
        let line = output_text(&output);
        assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{settings}: {line}");
        assert!(line.contains(suggestion), "{settings}: {line}");
    }
}

#[tokio::test]
async fn warns_of_unknown_variable() {
    let home = tempfile::tempdir().unwrap();
    let variables = [
        ("RUNNER_TIMOUT", "5"),
        ("RUNNER_XYZZY", "1"),
        ("RUNNER_WORKSPACE", "/w"),
        ("RUNNER_TOOL_CACHE", "/c"),
        ("RUNNER_SERVICE_PORT", "80"),
        ("RUNNER_NAME", "x"),
        ("RUNNER_ARCH", "X64"),
        ("RUNNER_TEST_NO_SKIP", "1"),
        ("RUNNER_ATTEMPTS", "2"),
    ];
    let output = command(home.path()).args(["config", "check"]).envs(variables).output().unwrap();
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{warnings}");
    assert!(warnings.contains("RUNNER_TIMOUT ") && warnings.contains(" RUNNER_TIMEOUT?"), "{warnings}");
    assert_eq!(warnings.lines().count(), 1, "the runner warns of other programs' variables: {warnings}");
    let mut world = World::start().await;
    assert!(!world.runner.logged("setting_warning"));
    world.restart_with(&variables);
    eventually("the runner has started", || world.runner.logged("runner_started")).await;
    let [warning] = world.runner.events("setting_warning").try_into().unwrap();
    assert_eq!(warning["level"], "warning");
    assert!(warning["message"].as_str().unwrap().contains("RUNNER_TIMOUT"), "{warning}");
}

#[test]
fn listen_and_config_can_be_disabled() {
    let home = tempfile::tempdir().unwrap();
    for (settings, arguments, environment) in [
        ("listen = \"127.0.0.1:9180\"", "config show --listen none", None),
        ("listen = \"127.0.0.1:9180\"", "config show --listen=", None),
        ("listen = \"127.0.0.1:9180\"", "config show", Some("")),
        ("listen = \"127.0.0.1:9180\"", "config show", Some("none")),
        ("listen = \"\"", "config show", None),
        ("listen = \"none\"", "config show", None),
    ] {
        let mut command = with_file(&home, settings, arguments);
        command.envs(environment.map(|value| ("RUNNER_LISTEN", value)));
        let output = command.output().unwrap();
        let text = output_text(&output);
        let line = text.lines().find(|line| line.starts_with("listen = "));
        let off = line
            .is_some_and(|line| line.starts_with("listen = \"none\"") || line.starts_with("listen = \"\""));
        assert!(output.status.success() && off, "{settings}, {arguments}, {environment:?}: {line:?} {text}");
        let mut health = with_file(&home, settings, &arguments.replace("config show", "healthcheck"));
        health.envs(environment.map(|value| ("RUNNER_LISTEN", value)));
        assert!(output_text(&health.output().unwrap()).contains("--url"), "{arguments}");
    }
    let output = command(home.path()).args(["--listen", "9180", "config", "check"]).output().unwrap();
    assert!(
        output.status.code() == Some(2) && output_text(&output).contains("--listen"),
        "{}",
        output_text(&output)
    );
    for empty in ["", "none"] {
        let output =
            command(home.path()).args(["config", "check"]).env("RUNNER_CONFIG", empty).output().unwrap();
        assert!(
            output.status.success() && !output_text(&output).contains("runner.toml"),
            "{}",
            output_text(&output)
        );
    }
}

#[test]
fn addresses_hide_secrets() {
    let home = tempfile::tempdir().unwrap();
    for (settings, right) in [
        ("tests_url = \"https://u:hunter2@h/x#hunter2\"", true),
        ("tests_url = \"https://h/x?t=hunter2\"", true),
        ("get_api = \"/a#hunter2\"", true),
        ("backend_url = \"http://h/?token=hunter2\"", false),
        ("backend_url = \"http://h/#hunter2\"", false),
        ("backend_url = \"http://u:hunter2@h/\"", false),
        ("tests_url = \"u:hunter2@h:x.git\"", false),
        ("tests_url = \"ftp://u:hunter2@h/x?hunter2\"", false),
    ] {
        for arguments in [
            "config show",
            "config show --json",
            "config check",
            "doctor --mock --backend-url http://127.0.0.1:9",
        ] {
            let output = with_file(&home, settings, arguments).output().unwrap();
            assert!(!output_text(&output).contains("hunter2"), "{arguments}: {}", output_text(&output));
            if !arguments.starts_with("doctor") {
                assert_eq!(output.status.success(), right, "{arguments}: {}", output_text(&output));
            }
        }
        let (key, value) = settings.split_once(" = ").unwrap();
        let flag = format!("--{}={}", key.replace('_', "-"), value.trim_matches('"'));
        let output = command(home.path()).args(["config", "check", &flag]).output().unwrap();
        assert!(!output_text(&output).contains("hunter2"), "{flag}: {}", output_text(&output));
    }
}

#[test]
fn warns_of_readable_file_with_login() {
    let home = tempfile::tempdir().unwrap();
    for (settings, mode, warned) in [
        ("tests_url = \"https://u:word@h/x\"", 0o644, true),
        ("tests_url = \"https://u:word@h/x\"", 0o600, false),
        ("tests_url = \"ssh://git@h/x\"", 0o644, false),
        ("tests_url = \"https://h/x\"", 0o644, false),
    ] {
        let mut check = with_file(&home, settings, "config check");
        let file = home.path().join("runner.toml");
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let output = check.output().unwrap();
        let text = output_text(&output);
        assert!(output.status.success(), "{text}");
        let file = file.display();
        let names = [format!("{file}:1: tests_url: "), "0644".to_owned(), format!("chmod 600 {file}")];
        assert_eq!(names.iter().all(|name| text.contains(name)), warned, "{settings} {mode:o}: {text}");
    }
}
