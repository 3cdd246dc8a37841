//! `runner run`: the same work for a folder or a URL, for a person.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::{PASS, Ran, Repository, command, eventually, scripted_suite, student};

struct Desk {
    folder: TempDir,
    suite: String,
}

impl Desk {
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
    let desk = Desk::new();
    let folder = desk.program("sleep 60");
    let work = desk.folder.path().join("work");
    let line = ["--tests-url", &desk.suite, "--work-dir", work.to_str().unwrap(), "run", &folder];
    let mut killed = command(desk.folder.path()).args(line).stderr(Stdio::null()).spawn().unwrap();
    let left = || -> Vec<PathBuf> {
        fs::read_dir(&work).map_or_else(|_| Vec::new(), |all| all.flatten().map(|one| one.path()).collect())
    };
    eventually("it makes a folder", || !left().is_empty()).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    let [folder] = left().try_into().unwrap_or_else(|left| panic!("{left:?}"));
    // A run that begins now would not be disturbed.
    desk.program(PASS);
    let run = || {
        desk.run(&[
            "--work-dir",
            work.to_str().unwrap(),
            &desk.folder.path().join("program").display().to_string(),
        ])
    };
    assert_eq!((run().code, folder.exists()), (Some(0), true));
    let hour = SystemTime::now() - Duration::from_secs(3_600);
    File::open(&folder).unwrap().set_modified(hour).unwrap();
    assert_eq!((run().code, left()), (Some(0), Vec::new()));
}

#[test]
fn tests_folder_without_changing_it() {
    let desk = Desk::new();
    let folder = desk.program(r#"echo built > built; printf %s "$PASS" > "$REPORT""#);
    let output = desk.run(&[&folder]);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let table = &output.stdout;
    assert!(table.contains("sample::test_one") && table.contains("125 ms"), "{table}");
    assert!(table.contains("SUCCESS: 1 of 1"), "{table}");
    assert_eq!(output.stderr, "", "there is no terminal to show progress on");
    assert!(!Path::new(&folder).join("built").exists(), "the tests wrote into the person's own folder");
}

#[test]
fn failure_shows_why_and_exits_1() {
    let desk = Desk::new();
    let output = desk.run(&[&desk.program(r#"printf %s "$FAIL" > "$REPORT"; exit 1"#)]);
    assert_eq!(output.code, Some(1));
    let table = &output.stdout;
    assert!(table.contains("sample::test_one") && table.contains("E   assert 1 == 2"), "{table}");
    assert!(table.contains("FAILURE: 0 of 1"), "{table}");
}

#[test]
fn json_output_is_result_body() {
    let desk = Desk::new();
    let output = desk.run(&[&desk.program(PASS), "--json", "--lab", "2", "--tests", "a,b"]);
    let body: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&body["isPassed"], &body["id"]), (&true.into(), &serde_json::Value::Null));
}

#[test]
fn checks_out_url_by_branch() {
    let desk = Desk::new();
    let repository: Repository = student(&desk.folder.path().join("repository"), "exit 9");
    repository.branch("lab1");
    repository.commit(&[("run.sh", PASS)]);
    let url = repository.url();
    assert_eq!(desk.run(&[&url, "--branch", "lab1"]).code, Some(0));
    assert_eq!(desk.run(&[&url, "--branch", "main"]).code, Some(1));
    let output = desk.run(&[&url, "--branch", "nowhere"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stdout.contains("nowhere"), "{}", output.stdout);
}

#[test]
fn missing_folder_exits_2() {
    let desk = Desk::new();
    let output = desk.run(&["/no/such/folder"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("/no/such/folder"));
}

#[test]
fn program_output_cannot_control_terminal() {
    let desk = Desk::new();
    let script = r"printf '\033]0;title\007\033[2Jlast words' >&2; kill -9 $PPID";
    let output = desk.run(&[&desk.program(script)]);
    let table = &output.stdout;
    assert!(table.contains("last words"), "{table}");
    assert!(!table.contains(['\u{1b}', '\u{7}']), "{table:?}");
}
