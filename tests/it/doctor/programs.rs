//! Tests of the checks of programs that are missing, broken, too old or too slow.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mock_backend::Settings;

use super::{Setup, check, run, start};

/// Creates a folder with shell scripts of these names.
fn programs(folder: &Path, scripts: &[(&str, &str)]) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, script) in scripts {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

#[tokio::test]
async fn missing_programs_are_named_with_install_command() {
    let setup = Setup::new(Settings::default()).await;
    let url = setup.backend.url();
    let arguments = ["--backend-url", &url, "--tests-url", &setup.suite, "--sandbox", "none"];
    let output = start(setup.home.path(), &arguments, &[("PATH", "")]).await;
    assert_eq!(output.code, Some(1));
    let report = output.stdout.clone();
    let lines: Vec<&str> = report.lines().collect();
    for (name, remedy) in [
        ("python3", "apt-get install python3 python3-venv"),
        ("environments", "apt-get install python3-venv"),
        ("cc", "apt-get install gcc libc6-dev"),
        ("make", "apt-get install make"),
    ] {
        let at = lines.iter().position(|line| line.starts_with(&format!("failure  {name} ")));
        let at = at.unwrap_or_else(|| panic!("{name} is missing:\n{report}"));
        assert!(lines[at + 1].ends_with(remedy), "{report}");
    }
    assert!(report.contains("\nok       suite "), "the check of the suite needs a git program:\n{report}");
    assert!(report.contains("\nwarning  sandbox            none"), "{report}");
    assert!(lines.last().unwrap().split([' ', ',']).any(|word| word == "4"), "{report}");
}

#[tokio::test]
async fn detects_python_without_venv() {
    let setup = Setup::new(Settings::default()).await;
    let path = setup.home.path().join("bin");
    std::fs::create_dir(&path).unwrap();
    let python = "#!/bin/sh\ncase \"$3\" in *ensurepip*) echo 'No module named ensurepip' >&2; exit 1;; esac\necho 3.9.9\n";
    std::fs::write(path.join("python3"), python).unwrap();
    std::fs::set_permissions(path.join("python3"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let url = setup.backend.url();
    let arguments = ["--json", "--backend-url", &url, "--tests-url", &setup.suite, "--sandbox", "none"];
    let (_, report) = run(setup.home.path(), &arguments, &[("PATH", path.to_str().unwrap())]).await;
    assert_eq!(check(&report, "python3").0, "ok");
    let (state, message, remedy) = check(&report, "environments");
    assert!(state == "failure" && message.contains("No module named ensurepip"), "{message}");
    assert_eq!(remedy, "apt-get install python3-venv");
}

#[tokio::test]
async fn broken_programs_are_failures() {
    let setup = Setup::new(Settings::default()).await;
    let no_venv =
        r#"case "$3" in *ensurepip*) echo 'No module named ensurepip' >&2; exit 1;; esac; echo 3.4.2"#;
    let bin = programs(
        setup.home.path(),
        &[
            ("cc", "exit 127"),
            ("make", "echo 'make: no such luck' >&2; exit 2"),
            ("uv", "exit 127"),
            ("python3", no_venv),
        ],
    );
    let url = setup.backend.url();
    let arguments = ["--json", "--backend-url", &url, "--tests-url", &setup.suite, "--sandbox", "none"];
    let path = [("PATH", bin.to_str().unwrap())];
    let (code, report) = run(setup.home.path(), &arguments, &path).await;
    assert_eq!(code, Some(1), "{report:#}");
    for (name, message_part, remedy_part) in [
        ("cc", "127", "apt-get install gcc libc6-dev"),
        ("make", "make: no such luck", "apt-get install make"),
        ("uv", "127", "mv "),
        ("python3", "3.4.2", "apt-get install python3 python3-venv"),
        ("environments", "No module named ensurepip", "apt-get install python3-venv"),
    ] {
        let (state, message, remedy) = check(&report, name);
        assert!(
            state == "failure" && message.contains(message_part) && remedy.contains(remedy_part),
            "{name}: {state} {message} {remedy}"
        );
    }
    // A program that hangs must not block the doctor.
    programs(setup.home.path(), &[("make", "while :; do /bin/sleep 1; done"), ("python3", "echo 3.11.2")]);
    let (_, report) = run(setup.home.path(), &arguments, &path).await;
    let (state, message, _) = check(&report, "make");
    assert!(state == "failure" && message.contains("10 s"), "{message}");
    assert_eq!(
        (check(&report, "python3").0, check(&report, "uv").0, check(&report, "environments").0),
        ("ok", "failure", "ok")
    );
}
