//! `runner run` on a suite of pytest cases, and access to its answer.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, Repository, SYSTEM_PATH, command, events_in, have, lay_environment};

/// A folder with a student's program, and a state folder with a pytest environment.
pub struct Bench {
    pub folder: TempDir,
}

impl Bench {
    pub fn new() -> Option<Self> {
        let ready = have("python3", "python3 python3-venv");
        let bench = Self { folder: TempDir::new().unwrap() };
        // A task may run as a separate user, who must be able to enter the folder.
        fs::set_permissions(bench.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        fs::create_dir(bench.path("student")).unwrap();
        fs::write(bench.path("student/Makefile"), "all:\n").unwrap();
        if ready {
            lay_environment(&bench.path("state"), "pytest\n", SYSTEM_PATH.as_ref(), None);
        }
        ready.then_some(bench)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Creates a pytest suite with these cases (name, Python code) and further files. Returns its path.
    pub fn suite(&self, cases: &[(&str, &str)], files: &[(&str, &str)]) -> String {
        let mut tests = "import os, subprocess, sys, time\n\ndef python(code):\n    \
             subprocess.run([sys.executable, '-c', code], check=True)\n"
            .to_owned();
        for (name, body) in cases {
            tests = format!("{tests}\ndef test_{name}():\n    {}\n", body.replace('\n', "\n    "));
        }
        let folder = self.path(&format!("suite-{}", fastrand::u32(..)));
        let suite = Repository::init(&folder);
        suite.commit(&[
            ("requirements.txt", "pytest\n"),
            ("run_tests.py", RUN),
            ("tests/test_it.py", &tests),
        ]);
        suite.commit(files);
        folder.display().to_string()
    }

    /// Runs `runner run` on the student's program. Returns the answer and the log.
    pub fn run(&self, suite: &str, arguments: &[&str]) -> (Value, String) {
        let output = self.output(suite, arguments);
        let log = output.stderr.clone();
        let answer = serde_json::from_str(&output.stdout);
        (answer.unwrap(), log)
    }

    pub fn output(&self, suite: &str, arguments: &[&str]) -> Ran {
        let mut runner = command(self.folder.path());
        // Use an interpreter that every user can execute.
        runner.env("PATH", SYSTEM_PATH);
        runner
            .args(["run", "--json", "--logger-level", "info", "--log-format", "json", "--state-dir"])
            .arg(self.path("state"));
        runner.args(["--test-command", "{python} run_tests.py --src {src} --junit-xml {report} -k {tests}"]);
        runner.args(["--tests-url", suite]).args(arguments).arg(self.path("student"));
        Ran::of(&mut runner)
    }
}

pub const RUN: &str = include_str!("../../measuring/run_tests.py");

/// The event `sandbox_chosen` of the log.
pub fn chosen(log: &str) -> Value {
    events_in(log, "sandbox_chosen").pop().unwrap_or_else(|| panic!("no event sandbox_chosen in {log}"))
}

/// Whether the sandbox enforces a feature, such as `disk=tmpfs`.
pub fn has(log: &str, feature: &str) -> bool {
    chosen(log)["enforced"].as_str().unwrap().split(' ').any(|found| found == feature)
}

pub fn case<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let cases = answer["testResults"].as_array().unwrap();
    let wanted = format!("::test_{name}");
    let found = cases.iter().find(|case| case["name"].as_str().unwrap().ends_with(&wanted));
    found.unwrap_or_else(|| panic!("no case {name} in {answer}"))
}

pub fn memory(answer: &Value, name: &str) -> u64 {
    case(answer, name)["memoryUsed"].as_u64().unwrap()
}

pub fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    case(answer, name)["description"].as_str().unwrap()
}

pub fn details(answer: &Value) -> &str {
    answer["errorDetails"].as_str().unwrap()
}

pub fn last_kept(kept: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> = fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.pop().unwrap()
}
