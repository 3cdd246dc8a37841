//! Tests of the command line: help, errors, exit codes, the log file, `parse-report`.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use mock_backend::Settings;
use nix::sys::signal::Signal;

use crate::support::{PASS, Ran, World, command, events_in, eventually, have};

fn runner(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    command(home.path()).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_lists_reference_flags_and_fits_terminal() {
    let help = runner(&["--help"]);
    assert!(help.status.success());
    let help = text(&help.stdout);
    for flag in [
        "--mock",
        "--backend-url",
        "--concurrent",
        "--check-interval",
        "--check-proc-interval",
        "--timeout",
        "--get-api",
        "--post-api",
        "--login-api",
        "--token-refresh-api",
        "--refresh-time",
        "--login",
        "--password",
        "--auth",
        "--logger-level",
        "--logger-output",
        "--proxy-timeout",
        "--state-dir",
        "--work-dir",
        "--tests-url",
        "--tests-ref",
        "--suite-preset",
        "--test-command",
        "--suite-max-age",
        "--password-file",
        "--allow-local-repositories",
    ] {
        assert!(
            [' ', '\n', '['].iter().any(|end| help.contains(&format!("{flag}{end}"))),
            "{flag} is missing"
        );
    }
    assert!(!help.contains("dora_explorer]\n\n      --password-file"), "the default password is printed");
    // Wide terminals get lines of at most 100 characters, too.
    let home = tempfile::tempdir().unwrap();
    for columns in ["100", "200"] {
        let help = command(home.path()).arg("--help").env("COLUMNS", columns).output().unwrap();
        let longest = text(&help.stdout).lines().map(|line| line.chars().count()).max().unwrap();
        assert!(
            (80..=100).contains(&longest),
            "the longest line has {longest} characters on {columns} columns"
        );
    }
}

#[test]
fn wrong_value_error_is_one_line() {
    for (arguments, name) in [
        (vec!["--timeout", "soon"], "--timeout <DURATION>"),
        (vec!["--concurrent", "0"], "--concurrent <COUNT>"),
        (vec!["--check-interval", "0"], "--check-interval <DURATION>"),
        (vec!["--logger-level", "loud"], "debug, info, warning, error, critical"),
        (vec!["--test-command", "x {nope}"], "{nope}"),
        (vec!["--backend-url", "nowhere"], "--backend-url"),
        (vec!["--password-file", "/no/such/file"], "--password-file /no/such/file: "),
        (vec!["--state-dir", "/dev/null/x"], "--state-dir /dev/null/x: "),
        (vec!["--logger-output", "/no/such/folder/log"], "--logger-output /no/such/folder/log: "),
        (vec!["--nonsense"], "--nonsense"),
        (vec!["spool"], "list, show,"),
        (vec!["config"], "show, check"),
        (vec!["run", "--lab", "x", "."], "--lab <N>"),
    ] {
        let home = tempfile::tempdir().unwrap();
        Ran::of(command(home.path()).args(&arguments)).ends_with(2).names(&[name]);
    }
}

#[test]
fn wrong_variable_error_names_variable_and_flag() {
    let home = tempfile::tempdir().unwrap();
    let error = |arguments: &[&str], name: &str, value: &str| {
        let output = command(home.path()).args(arguments).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        let error = text(&output.stderr);
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    for (name, value, flag) in [
        ("RUNNER_TIMEOUT", "soon", "--timeout <DURATION>"),
        ("RUNNER_CONCURRENT", "0", "--concurrent <COUNT>"),
        ("RUNNER_AUTH", "perhaps", "--auth[=<true|false>]"),
        ("RUNNER_SANDBOX", "x", "--sandbox <SANDBOX>"),
    ] {
        let error_line = error(&[], name, value);
        let names = [format!("'{value}'"), format!("{name} "), flag.to_owned()];
        assert!(names.iter().all(|name| error_line.contains(name)), "{error_line}");
        assert_eq!(
            error(&["spool", "list"], name, value),
            error_line,
            "the error depends on the place of the subcommand"
        );
    }
    // A flag overrides the variable, so the error names the flag.
    for flag in [&["--timeout", "later"][..], &["--timeout=later"], &["config", "show", "--timeout", "later"]]
    {
        let error_line = error(flag, "RUNNER_TIMEOUT", "soon");
        assert!(error_line.contains("'later'") && !error_line.contains("RUNNER_TIMEOUT"), "{error_line}");
    }
}

#[test]
fn names_setting_that_is_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let home = tempfile::tempdir().unwrap();
    let bytes = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let error_line = |arguments: &[&std::ffi::OsStr], variables: &[&str]| {
        let mut command = command(home.path());
        command.args(arguments).envs(variables.iter().map(|name| (name, bytes)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        text(&output.stderr)
    };
    let check = ["config", "check"].map(std::ffi::OsStr::new);
    // Unknown variables and folder names may contain any bytes.
    for others in [&["A_NAME"][..], &["A_NAME", "ZZZ", "RUNNER_STATE_DIR", "RUNNER_LOGGER_OUTPUT"]] {
        let variables = [others, &["RUNNER_LOGIN"]].concat();
        assert_eq!(error_line(&check, &variables), "runner: RUNNER_LOGIN holds bytes that are not UTF-8\n");
    }
    let login = ["config", "check", "--login", "x"].map(std::ffi::OsStr::new);
    let expected = "runner: RUNNER_TESTS_REF holds bytes that are not UTF-8\n";
    assert_eq!(
        error_line(&login, &["RUNNER_LOGIN", "RUNNER_TESTS_REF"]),
        expected,
        "the flag does not override the variable"
    );
    let line = [&check[..], &["--tests-ref".as_ref(), bytes]].concat();
    let expected = "runner: the command line holds bytes that are not UTF-8\n";
    assert_eq!(error_line(&line, &["RUNNER_LOGIN"]), expected);
}

#[test]
fn parse_report_exits_by_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let pass =
        write("pass.xml", r#"<testsuite time="1"><testcase classname="tests.a" name="b"/></testsuite>"#);
    let fail =
        write("fail.xml", r#"<testsuite><testcase name="b"><failure message="m"/></testcase></testsuite>"#);
    let none = write("none.txt", "no report");
    let output = runner(&["parse-report", &pass, "--id", "21"]);
    let body: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &body["id"], &body["isPassed"]), (Some(0), &21.into(), &true.into()));
    assert_eq!(body["testResults"][0]["name"], "a::b");
    assert_eq!(runner(&["parse-report", &fail]).status.code(), Some(1));
    let output = runner(&["parse-report", &none]);
    let body: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &body["isError"]), (Some(1), &true.into()));
    let output = runner(&["parse-report", "/no/such/report.xml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr).lines().count(), 1);
    assert!(text(&output.stderr).contains("/no/such/report.xml"));
}

#[tokio::test]
async fn sighup_reopens_log_file() {
    let folder = tempfile::tempdir().unwrap();
    let (log, moved) = (folder.path().join("runner.log"), folder.path().join("runner.log.1"));
    fs::write(&log, "before\n").unwrap();
    let world = World::with(Settings::default(), &["--logger-output", log.to_str().unwrap()]).await;
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    eventually("the runner writes to the log file", || !events_in(&read(&log), "runner_started").is_empty())
        .await;
    assert!(read(&log).starts_with("before\n"));
    fs::rename(&log, &moved).unwrap();
    world.runner.signal(Signal::SIGHUP);
    let id = world.submit(PASS);
    world.answer(&id).await;
    let ended = |path| events_in(&read(path), "task_ended").len();
    eventually("the new log file has the new lines", || ended(&log) == 1).await;
    assert_eq!(ended(&moved), 0);
    assert!(!read(&log).contains('\u{1b}'), "the log file has colours");
}

#[tokio::test]
async fn error_level_logs_nothing_on_success() {
    let world = World::with(Settings::default(), &["--logger-level", "error"]).await;
    let id = world.submit(PASS);
    world.answer(&id).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.runner.log(), "", "the log is not empty");
}

#[test]
fn version_names_commit_and_date() {
    let version = text(&runner(&["--version"]).stdout);
    let plain = format!("runner {}", env!("CARGO_PKG_VERSION"));
    assert!(version.starts_with(&plain), "{version}");
    if let Ok(repository) = git2::Repository::open(env!("CARGO_MANIFEST_DIR")) {
        let rest = version.trim_end().strip_prefix(&format!("{plain} (")).unwrap();
        let (commit, date) = rest.strip_suffix(')').unwrap().split_once(' ').unwrap();
        let head = repository.revparse_single(commit).unwrap();
        assert!(head.as_commit().is_some() && commit.len() >= 12, "{version}");
        let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00");
    }
}

#[test]
fn completions_and_manual_list_every_option() {
    let help = text(&runner(&["--help"]).stdout);
    let options: Vec<_> = help
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--")?.split([' ', '[']).next())
        .collect();
    assert!(options.contains(&"backend-url"));
    for arguments in
        [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]]
    {
        // These commands do not read the settings file.
        let home = tempfile::tempdir().unwrap();
        let output =
            command(home.path()).args(arguments).env("RUNNER_CONFIG", "/no/such/file").output().unwrap();
        assert!(output.status.success(), "{arguments:?}");
        let answer = text(&output.stdout).replace("\\-", "-");
        for option in options.iter().chain(&["parse-report", "spool", "retry"]) {
            assert!(answer.contains(option), "{arguments:?}: {option}");
        }
        assert!(!answer.contains("password-fd"), "{arguments:?}: the output shows a hidden option");
    }
    assert_eq!(runner(&["completions", "tcsh"]).status.code(), Some(2));
    // Completion must not treat the word after a switch, such as a subcommand, as its value.
    assert!(!text(&runner(&["completions", "bash"]).stdout).contains("--auth)"));
    assert!(text(&runner(&["man"]).stdout).contains(r"\-\-auth\fR[=\fI<true|false>\fR]"));
}

#[test]
fn bash_loads_completion() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("runner.bash");
    fs::write(&script, runner(&["completions", "bash"]).stdout).unwrap();
    let line = format!(
        "source {}; COMP_WORDS=(runner config s); COMP_CWORD=2; _runner runner s config; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    assert_eq!(text(&shell("bash", &["-c", &line]).stdout), "show\n");
}

#[test]
fn help_colours_obey_terminal_and_no_color() {
    if !have("script", "bsdutils") {
        return;
    }
    let line = format!("{} --help", env!("CARGO_BIN_EXE_runner"));
    let on_a_terminal = |settings: &str| {
        text(&shell("sh", &["-c", &format!("{settings} exec script -qec '{line}' /dev/null")]).stdout)
    };
    assert!(on_a_terminal("TERM=xterm").contains("\u{1b}["), "the terminal gets no colours");
    assert!(!on_a_terminal("TERM=xterm NO_COLOR=1").contains("\u{1b}["), "NO_COLOR is ignored");
    assert!(!text(&runner(&["--help"]).stdout).contains('\u{1b}'), "a pipe gets colours");
}

#[expect(clippy::disallowed_methods, reason = "the test runs the output in a shell")]
fn shell(program: &str, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.args(arguments).stdin(std::process::Stdio::null()).output().unwrap()
}
