//! Tests, for every setting, that flags override the environment, the environment the file, and the file the defaults.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::command;

/// The values of each setting in the file, the environment and on the command line. None is the default.
const VALUES: &[(&str, [&str; 3])] = &[
    ("backend_url", ["http://f/", "http://e/", "http://c/"]),
    ("get_api", ["/f", "/e", "/c"]),
    ("post_api", ["/f", "/e", "/c"]),
    ("login_api", ["/f", "/e", "/c"]),
    ("token_refresh_api", ["/f", "/e", "/c"]),
    ("refresh_time", ["11", "12", "13"]),
    ("auth", ["true", "false", "true"]),
    ("auth", ["false", "true", "false"]),
    ("auth", ["on", "no", "1"]),
    ("login", ["f", "e", "c"]),
    ("password", ["f", "e", "c"]),
    ("password_file", ["/f", "/e", "/c"]),
    ("connect_timeout", ["11", "12", "13"]),
    ("request_timeout", ["11", "12", "13"]),
    ("claim_timeout", ["11", "12", "13"]),
    ("concurrent", ["11", "12", "13"]),
    ("check_interval", ["11", "12", "13"]),
    ("drain_timeout", ["11", "12", "13"]),
    ("on_interrupt", ["resume", "report", "resume"]),
    ("on_interrupt", ["report", "resume", "report"]),
    ("timeout", ["11", "12", "13"]),
    ("attempts", ["11", "12", "13"]),
    ("allow_local_repositories", ["true", "false", "true"]),
    ("allow_local_repositories", ["false", "true", "false"]),
    ("max_repository", ["11K", "12K", "13K"]),
    ("max_repository_files", ["11", "12", "13"]),
    ("repository_cache", ["11M", "12M", "none"]),
    ("checkout_timeout", ["11", "12", "13"]),
    ("tests_url", ["/f", "/e", "/c"]),
    ("tests_ref", ["f", "e", "c"]),
    ("suite_preset", ["lab", "lab-num", "lab"]),
    ("test_command", ["sh f {src} {report}", "sh e {src} {report}", "sh c {src} {report}"]),
    ("suite_max_age", ["11", "12", "13"]),
    ("proxy_timeout", ["11", "12", "13"]),
    ("mock", ["true", "false", "true"]),
    ("mock", ["false", "true", "false"]),
    ("check_proc_interval", ["0.2", "0.3", "0.4"]),
    ("grace", ["11", "12", "13"]),
    ("keep_output", ["11K", "12K", "13K"]),
    ("sandbox", ["none", "basic", "bwrap"]),
    ("sandbox_require", ["none", "basic", "bwrap"]),
    ("sandbox_readable", ["/f", "/e", "/c"]),
    ("sandbox_uid", ["80000", "81000", "82000"]),
    ("memory", ["101M", "102M", "none"]),
    ("cpus", ["2", "3", "none"]),
    ("cpu_time", ["11", "12", "13"]),
    ("pids", ["101", "102", "none"]),
    ("disk", ["101M", "102M", "none"]),
    ("file_size", ["11M", "12M", "none"]),
    ("output_size", ["11M", "12M", "none"]),
    ("nofile", ["101", "102", "none"]),
    ("network", ["host", "none", "host"]),
    ("max_error_details", ["101", "102", "103"]),
    ("max_description", ["11K", "12K", "13K"]),
    ("max_cases", ["11", "12", "13"]),
    ("max_body", ["11K", "12K", "13K"]),
    ("max_report", ["11K", "12K", "13K"]),
    ("state_dir", ["/f", "/e", "/c"]),
    ("work_dir", ["/f", "/e", "/c"]),
    ("keep_tasks", ["11", "12", "13"]),
    ("keep_age", ["11", "12", "13"]),
    ("keep_size", ["11K", "12K", "13K"]),
    ("logger_level", ["debug", "error", "critical"]),
    ("logger_output", ["/f", "/e", "/c"]),
    ("log_format", ["json", "text", "json"]),
    ("listen", ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]),
];

/// Output of `config show --json` with these arguments and this variable.
fn shown(home: &Path, arguments: &[String], variable: Option<(&str, &str)>) -> Vec<Value> {
    let mut command = command(home);
    command.args(["config", "show", "--json"]).args(arguments).envs(variable);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}, {variable:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(setting: &'a Value, field: &str) -> &'a str {
    setting[field].as_str().unwrap_or_default()
}

/// Value and origin of a setting. A list gives its first value.
fn value_and_origin<'a>(all: &'a [Value], key: &str) -> (&'a str, &'a str) {
    let setting = all.iter().find(|setting| setting["key"] == key).unwrap();
    let value = setting["value"].get(0).unwrap_or(&setting["value"]);
    (value.as_str().unwrap_or_default(), text(setting, "origin"))
}

#[test]
fn every_setting_obeys_precedence() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("runner.toml");
    let config = vec!["--config".to_owned(), path.display().to_string()];
    let write = |line: &str| {
        fs::write(&path, line).unwrap();
        // The file must be private, because it has a password.
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    };
    write("");
    let all = shown(home.path(), &config, None);
    let settings: Vec<_> = all.iter().filter(|setting| setting["key"] != "config").collect();
    let listed: Vec<_> = settings.iter().map(|setting| text(setting, "key")).collect();
    let unknown: Vec<_> = VALUES.iter().filter(|(key, _)| !listed.contains(key)).collect();
    assert!(unknown.is_empty(), "the table names unknown settings: {unknown:?}");
    for setting in settings {
        let (key, flag) = (text(setting, "key"), text(setting, "flag"));
        let variable = text(setting, "environment");
        let rounds: Vec<_> = VALUES.iter().filter(|(known, _)| *known == key).collect();
        assert!(!rounds.is_empty(), "{key} has no values in the table of this test");
        let unset = match key {
            "drain_timeout" => "as timeout",
            "state_dir" => "$HOME",
            "work_dir" => "in state_dir",
            "logger_level" => "default; warning for subcommands",
            _ => "default",
        };
        assert_eq!(text(setting, "origin"), unset, "{key}");
        for (_, [in_file, in_environment, on_line]) in rounds {
            let by_flag = [&config[..], &[format!("{flag}={on_line}")]].concat();
            let by_environment = Some((variable, *in_environment));
            write(&format!("{key} = {in_file:?}\n"));
            let file = format!("file {}:1", path.display());
            let environment = format!("environment {variable}");
            for (arguments, variables, value, origin) in [
                (&config, None, in_file, file.as_str()),
                (&config, by_environment, in_environment, &environment),
                (&by_flag, None, on_line, "flag"),
                (&by_flag, by_environment, on_line, "flag"),
            ] {
                let all = shown(home.path(), arguments, variables);
                let expected = (if key == "password" { "***" } else { value }, origin);
                assert_eq!(value_and_origin(&all, key), expected, "{key}: {arguments:?} {variables:?}");
            }
            write("");
            let all = shown(home.path(), &config, by_environment);
            assert_eq!(
                value_and_origin(&all, key).1,
                environment,
                "{key}: the environment does not override the default"
            );
        }
    }
}

#[test]
fn config_flag_overrides_environment() {
    let home = tempfile::tempdir().unwrap();
    let name = |name: &str| home.path().join(name).display().to_string();
    for (file, timeout) in [("e.toml", 12), ("c.toml", 13)] {
        fs::write(name(file), format!("timeout = {timeout}\n")).unwrap();
    }
    let (by_environment, variable) = (name("e.toml"), "RUNNER_CONFIG");
    let all = shown(home.path(), &[], Some((variable, &by_environment)));
    assert_eq!(value_and_origin(&all, "config"), (by_environment.as_str(), "environment RUNNER_CONFIG"));
    assert_eq!(value_and_origin(&all, "timeout").0, "12");
    let by_flag = ["--config".to_owned(), name("c.toml")];
    let all = shown(home.path(), &by_flag, Some((variable, &by_environment)));
    assert_eq!(
        (value_and_origin(&all, "config"), value_and_origin(&all, "timeout").0),
        ((by_flag[1].as_str(), "flag"), "13")
    );
}

#[test]
fn switch_without_value_is_on() {
    let home = tempfile::tempdir().unwrap();
    let all = |arguments: &[&str]| {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        shown(home.path(), &arguments, Some(("RUNNER_AUTH", "false")))
    };
    for flag in ["auth", "mock", "allow_local_repositories"] {
        let (long, off) =
            (format!("--{}", flag.replace('_', "-")), format!("--{}=no", flag.replace('_', "-")));
        assert_eq!(value_and_origin(&all(&[&long]), flag), ("true", "flag"));
        assert_eq!(
            value_and_origin(&all(&[&long, &off]), flag),
            ("no", "flag"),
            "the last flag does not win"
        );
    }
    let output = command(home.path()).args(["--auth", "config", "check"]).output().unwrap();
    assert!(output.status.success(), "the flag took the subcommand as its value: {output:?}");
    let output = command(home.path()).args(["--auth=perhaps", "config", "check"]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains("'perhaps'") && error.contains("--auth[=<true|false>]"), "{error}");
}
