//! Tests of `runner run`, which runs a suite on a folder or a URL.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::{PASS, Ran, Repository, command, eventually, scripted_suite, student};

struct Setup {
    folder: TempDir,
    suite: String,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let suite = scripted_suite(&folder.path().join("suite"));
        Self { folder, suite }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(command(self.folder.path()).args(["--tests-url", &self.suite, "run"]).args(arguments))
    }

    fn program(&self, script: &str) -> String {
        let folder = self.folder.path().join("program");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("run.sh"), script).unwrap();
        folder.display().to_string()
    }
}

#[tokio::test]
async fn next_run_removes_leftovers_of_killed_one() {
    let setup = Setup::new();
    let folder = setup.program("sleep 60");
    let work = setup.folder.path().join("work");
    let line = ["--tests-url", &setup.suite, "--work-dir", work.to_str().unwrap(), "run", &folder];
    let mut killed = command(setup.folder.path()).args(line).stderr(Stdio::null()).spawn().unwrap();
    let left = || -> Vec<PathBuf> {
        fs::read_dir(&work).map_or_else(|_| Vec::new(), |all| all.flatten().map(|one| one.path()).collect())
    };
    eventually("the run has a work folder", || !left().is_empty()).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let [folder] = left().try_into().unwrap_or_else(|left| panic!("{left:?}"));
    // The sweep must not touch the folder of a second run.
    setup.program(PASS);
    let run = || {
        setup.run(&[
            "--work-dir",
            work.to_str().unwrap(),
            &setup.folder.path().join("program").display().to_string(),
        ])
    };
    assert_eq!((run().code, folder.exists()), (Some(0), true));
    let hour = SystemTime::now() - Duration::from_secs(3_600);
    File::open(&folder).unwrap().set_modified(hour).unwrap();
    assert_eq!((run().code, left()), (Some(0), Vec::new()));
}

#[test]
fn tests_folder_without_changing_it() {
    let setup = Setup::new();
    let folder = setup.program(r#"echo built > built; printf %s "$PASS" > "$REPORT""#);
    let output = setup.run(&[&folder]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let table = &output.stdout;
    assert!(table.contains("sample::test_one") && table.contains("125 ms"), "{table}");
    assert!(table.contains("SUCCESS: 1 of 1"), "{table}");
    assert_eq!(output.stderr, "", "the runner shows progress without a terminal");
    assert!(!Path::new(&folder).join("built").exists(), "the tests wrote into the user's folder");
}

#[test]
fn failure_shows_why_and_exits_1() {
    let setup = Setup::new();
    let output = setup.run(&[&setup.program(r#"printf %s "$FAIL" > "$REPORT"; exit 1"#)]);
    assert_eq!(output.code, Some(1));
    let table = &output.stdout;
    assert!(table.contains("sample::test_one") && table.contains("E   assert 1 == 2"), "{table}");
    assert!(table.contains("FAILURE: 0 of 1"), "{table}");
}

#[test]
fn json_output_is_result_body() {
    let setup = Setup::new();
    let output = setup.run(&[&setup.program(PASS), "--json", "--lab", "2", "--tests", "a,b"]);
    let body: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&body["isPassed"], &body["id"]), (&true.into(), &serde_json::Value::Null));
}

#[test]
fn checks_out_url_by_branch() {
    let setup = Setup::new();
    let repository: Repository = student(&setup.folder.path().join("repository"), "exit 9");
    repository.branch("lab1");
    repository.commit(&[("run.sh", PASS)]);
    let url = repository.url();
    assert_eq!(setup.run(&[&url, "--branch", "lab1"]).code, Some(0));
    assert_eq!(setup.run(&[&url, "--branch", "main"]).code, Some(1));
    let output = setup.run(&[&url, "--branch", "nowhere"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stdout.contains("nowhere"), "{}", output.stdout);
}

#[test]
fn missing_folder_exits_2() {
    let setup = Setup::new();
    let output = setup.run(&["/no/such/folder"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("/no/such/folder"));
}

#[test]
fn program_output_cannot_control_terminal() {
    let setup = Setup::new();
    let script = r"printf '\033]0;title\007\033[2Jlast words' >&2; kill -9 $PPID";
    let output = setup.run(&[&setup.program(script)]);
    let table = &output.stdout;
    assert!(table.contains("last words"), "{table}");
    assert!(!table.contains(['\u{1b}', '\u{7}']), "{table:?}");
}
