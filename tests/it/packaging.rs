//! Tests of what is published with the program: the systemd unit, the image's context, the package, the manual.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{command, have};

fn tree(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the tests run build tools")]
fn tool(program: &str) -> Command {
    Command::new(program)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn unit_explains_each_omitted_restriction() {
    if !have("systemd-analyze", "systemd") {
        return;
    }
    for name in ["ostest-runner.service", "ostest-runner@.service"] {
        let path = format!("systemd/{name}");
        let mut analyze = tool("systemd-analyze");
        analyze.current_dir(env!("CARGO_MANIFEST_DIR")).args([
            "security",
            "--offline=true",
            "--no-pager",
            &path,
        ]);
        let report = text(&analyze.output().unwrap().stdout);
        let left_out: Vec<_> =
            report.lines().filter_map(|line| line.strip_prefix("✗ ")?.split(' ').next()).collect();
        assert!(left_out.len() > 10, "{report}");
        let unit = tree(&path);
        let lines: Vec<&str> = unit.lines().collect();
        for found in left_out {
            let (option, part) = found.split_once('=').unwrap();
            let option = format!("{option}=");
            // A comment of the unit names each set of system calls. Each other option stands below a comment with its reason.
            let word = part.trim_start_matches('~');
            let word = if option == "SystemCallFilter=" { word } else { &option };
            let in_words = lines.iter().any(|line| line.starts_with('#') && line.contains(word));
            let below = lines.windows(2).any(|two| two[0].starts_with('#') && two[1].starts_with(&option));
            assert!(in_words || (below && word == option), "{name}: {found} has no reason");
        }
        let level = report.lines().find(|line| line.contains("Overall exposure level")).unwrap();
        let level: f64 = level.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
        assert!(level < 3.05, "{level}");
    }
}

/// Output of the build script's version code for a tree with these git files, without a git program.
fn version(script: &Path, files: &[(&str, &str)]) -> String {
    let tree = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = tree.path().join(".git").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let mut run = tool(script.to_str().unwrap());
    run.env_clear()
        .env("CARGO_PKG_VERSION", "1.2.3")
        .env("SOURCE_DATE_EPOCH", "1709210096")
        .current_dir(tree.path());
    let output = text(&run.output().unwrap().stdout);
    output.lines().find_map(|line| line.strip_prefix("cargo::rustc-env=OSTEST_VERSION=")).unwrap().to_owned()
}

/// The build script of the package, as cargo has compiled it last.
fn build_script() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_runner")).with_file_name("build");
    let built = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let scripts = built
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ostest-runner-"))
        })
        .map(|path| path.join("build-script-build"));
    scripts
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .unwrap()
}

#[test]
fn build_finds_commit_without_git() {
    let script = build_script();
    let (commit, other) = ("0123456789abcdef0123456789abcdef01234567", "f".repeat(40));
    let packed =
        format!("# pack-refs with: peeled\n{other} refs/heads/other\n{commit} refs/heads/main\n^{other}\n");
    let known = "1.2.3 (0123456789ab 2024-02-29)";
    for (files, expected) in [
        (&[("HEAD", "ref: refs/heads/main\n"), ("refs/heads/main", commit)][..], known),
        (&[("HEAD", "ref: refs/heads/main\n"), ("packed-refs", &packed)], known),
        (&[("HEAD", commit)], known),
        (&[("HEAD", "ref: refs/heads/main\n")], "1.2.3"),
        (&[("HEAD", "nonsense")], "1.2.3"),
        (&[], "1.2.3"),
    ] {
        assert_eq!(version(&script, files), expected, "{files:?}");
    }
    let context = tree(".dockerignore");
    for file in ["HEAD", "packed-refs", "refs/heads"] {
        assert!(context.lines().any(|line| line == format!("!.git/{file}")), "{file}");
    }
}

#[test]
fn package_contains_documents() {
    let manifest = tree("Cargo.toml");
    for file in ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"] {
        assert!(
            manifest.contains(&format!("[\"{file}\", \"usr/share/doc/ostest-runner/\", \"644\"]")),
            "{file}"
        );
        tree(file);
    }
}

#[test]
fn manual_passes_groff() {
    if !have("groff", "groff") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let page = home.path().join("runner.1");
    let output = command(home.path()).arg("man").output().unwrap();
    assert!(output.stdout.is_ascii(), "groff does not read other characters by default");
    fs::write(&page, output.stdout).unwrap();
    for device in ["ascii", "utf8"] {
        let mut groff = tool("groff");
        let output =
            groff.env("LC_ALL", "C").args(["-man", "-ww", "-T", device]).arg(&page).output().unwrap();
        assert_eq!(text(&output.stderr), "", "{device}");
    }
}

#[test]
fn installed_shells_load_completion() {
    let home = tempfile::tempdir().unwrap();
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute"), ("bash", "-n")] {
        // Nothing else in the project needs these shells.
        if sandbox::command::find_program(shell).is_none() {
            eprintln!("\n!!! SKIPPED: {shell} is not installed (apt-get install {shell})\n");
            continue;
        }
        let script = home.path().join(shell);
        fs::write(&script, command(home.path()).args(["completions", shell]).output().unwrap().stdout)
            .unwrap();
        let output = tool(shell).arg(check).arg(&script).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
    }
}

#[test]
fn every_help_fits_100_columns() {
    let home = tempfile::tempdir().unwrap();
    let help = |words: &[&str]| {
        let output = command(home.path()).args(words).arg("--help").env("COLUMNS", "200").output().unwrap();
        assert!(output.status.success(), "{words:?}");
        text(&output.stdout)
    };
    let mut open: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(words) = open.pop() {
        seen += 1;
        let page = help(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let wide: Vec<_> = page.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{words:?}: {wide:#?}");
        let commands = page.split_once("\nCommands:\n").map_or("", |(_, rest)| rest);
        let names = commands.lines().take_while(|line| !line.is_empty());
        let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        for name in names.filter(|name| !name.is_empty() && *name != "help") {
            open.push(words.iter().cloned().chain([name.to_owned()]).collect());
        }
    }
    assert!(seen > 12, "{seen} pages");
}

/// Escape sequences that set colours.
fn colours(text: &str) -> usize {
    let ends =
        |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m');
    text.split("\u{1b}[").skip(1).filter(|rest| ends(rest)).count()
}

#[test]
fn help_doctor_and_log_obey_no_color() {
    if !have("script", "bsdutils") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let runner = command(home.path());
    let program = runner.get_program().to_str().unwrap().to_owned();
    for words in ["--help", "doctor --mock", "--mock --logger-level debug"] {
        for (variable, coloured) in [("NO_COLOR=1", false), ("COLUMNS=100", true)] {
            let line = format!(
                "timeout 3 {program} --backend-url http://127.0.0.1:9 --state-dir {} {words}",
                state.display()
            );
            let mut shell = tool("sh");
            shell.env_clear().envs(runner.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let script = format!("TERM=xterm {variable} exec script -qec '{line}' /dev/null </dev/null");
            let output = text(&shell.args(["-c", &script]).output().unwrap().stdout);
            assert!(output.len() > 100, "{words}: {output}");
            // The doctor's checks may end before the first progress line is due.
            let is_right = if coloured {
                words.starts_with("doctor") || colours(&output) > 0
            } else {
                colours(&output) == 0
            };
            assert!(is_right, "{words}, {variable}: {output:?}");
        }
    }
}
