//! Programs that are missing, broken, too old or too slow.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mock_backend::Settings;

use super::{Ground, check, run, start};

/// Programs of these names, each a script.
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
async fn broken_programs_are_failures() {
    let ground = Ground::new(Settings::default()).await;
    let no_venv =
        r#"case "$3" in *ensurepip*) echo 'No module named ensurepip' >&2; exit 1;; esac; echo 3.4.2"#;
    let bin = programs(
        ground.home.path(),
        &[
            ("cc", "exit 127"),
            ("make", "echo 'make: no such luck' >&2; exit 2"),
            ("uv", "exit 127"),
            ("python3", no_venv),
        ],
    );
    let url = ground.backend.url();
    let arguments = ["--json", "--backend-url", &url, "--tests-url", &ground.suite, "--sandbox", "none"];
    let path = [("PATH", bin.to_str().unwrap())];
    let (code, said) = run(ground.home.path(), &arguments, &path).await;
    assert_eq!(code, Some(1), "{said:#}");
    for (name, words, mends) in [
        ("cc", "127", "apt-get install gcc libc6-dev"),
        ("make", "make: no such luck", "apt-get install make"),
        ("uv", "127", "mv "),
        ("python3", "3.4.2", "apt-get install python3 python3-venv"),
        ("environments", "No module named ensurepip", "apt-get install python3-venv"),
    ] {
        let (state, says, mend) = check(&said, name);
        assert!(
            state == "failure" && says.contains(words) && mend.contains(mends),
            "{name}: {state} {says} {mend}"
        );
    }
    // One that hangs is no reason to hang.
    programs(ground.home.path(), &[("make", "while :; do /bin/sleep 1; done"), ("python3", "echo 3.11.2")]);
    let (_, said) = run(ground.home.path(), &arguments, &path).await;
    let (state, says, _) = check(&said, "make");
    assert!(state == "failure" && says.contains("10 s"), "{says}");
    assert_eq!(
        (check(&said, "python3").0, check(&said, "uv").0, check(&said, "environments").0),
        ("ok", "failure", "ok")
    );
}
