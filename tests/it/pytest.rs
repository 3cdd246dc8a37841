//! End-to-end tests with the real binary, a real pytest in a real environment, and a C program.

use crate::support::{command, have};

#[test]
fn demo_ends_with_expected_verdicts() {
    if !have("python3", "python3 python3-venv") || !have("cc", "gcc") || !have("make", "make") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path()).args(["demo"]).output().unwrap();
    let demo_output = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{demo_output}\n{errors}");
    assert_eq!(errors, "", "the runner shows progress without a terminal");
    assert!(!demo_output.contains('\u{1b}'), "{demo_output:?}");
    for (repository, verdict, words) in [
        ("passes", "SUCCESS", "4 of 4"),
        ("fails-a-test", "FAILURE", "3 of 4"),
        ("does-not-build", "FAILURE", "0 of 4"),
        ("never-ends", "ERROR", "10 s"),
    ] {
        let row = demo_output.lines().rfind(|line| line.starts_with(repository)).unwrap_or_default();
        assert!(row.matches(verdict).count() == 2 && row.contains(words), "{repository}: {demo_output}");
    }
}

#[test]
fn demo_names_missing_programs() {
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path()).env("PATH", "/nowhere").args(["demo"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("apt-get install python3 python3-venv make gcc"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn samples_are_written_once_and_loadable() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("samples");
    let write = || command(home.path()).args(["demo", "--samples"]).arg(&folder).output().unwrap();
    let output = write();
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(folder.join("tasks.json")).unwrap();
    assert_eq!(mock_backend::read_tasks(&text).unwrap().len(), 4);
    for task in text.lines() {
        let task: serde_json::Value = serde_json::from_str(task).unwrap();
        let url = task["repositoryUrl"].as_str().unwrap();
        let repository = git2::Repository::open(url.strip_prefix("file://").unwrap()).unwrap();
        assert!(repository.revparse_single("main:calc.c").is_ok(), "{url}");
    }
    let head = || git2::Repository::open(folder.join("suite")).unwrap().head().unwrap().target();
    let before = head();
    std::fs::write(folder.join("tasks.json"), "kept").unwrap();
    assert!(write().status.success());
    assert_eq!(
        (head(), std::fs::read_to_string(folder.join("tasks.json")).unwrap().as_str()),
        (before, "kept")
    );
    let entries = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(entries, 3, "the folder does not hold exactly the suite, the students and the tasks");
    std::fs::remove_file(folder.join("tasks.json")).unwrap();
    let output = write();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("tasks.json") && error.lines().count() == 1, "{error}");
    assert_eq!(output.status.code(), Some(2));
}
