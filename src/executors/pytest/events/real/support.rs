//! Suites that run in a real pytest with the plugin, over a real socket.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::executors::pytest::events::message::Line;
use crate::executors::pytest::events::record::Events;
use crate::executors::pytest::plugin::MODULES;
use report::junit::{self, JunitError};
use report::{Limits, Outcome, Report};

/// An interpreter that has pytest: the one that `RUNNER_TEST_PYTEST` names, else the machine's, else one in an environment that
/// is created.
fn interpreter() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let default = sandbox::command::find_program("python3").map(|_| PathBuf::from("python3"));
            let Some(found) = env::var_os("RUNNER_TEST_PYTEST").map(PathBuf::from).or(default) else {
                let line = "python3 is not installed (apt-get install python3 python3-venv)";
                assert!(env::var_os("RUNNER_TEST_NO_SKIP").is_none(), "{line}");
                eprint_line(&format!("!!! SKIPPED: {line}"));
                return None;
            };
            Some(if run(&found, &["-c", "import pytest"]) { found } else { make_environment(&found) })
        })
        .as_deref()
}

/// Creates an environment beside the test programs, where later runs find it.
fn make_environment(python: &Path) -> PathBuf {
    let program = env::current_exe().unwrap();
    let folder = program.parent().and_then(Path::parent).unwrap().join("pytest-for-tests");
    let made = folder.join("bin/python");
    if !run(&made, &["-c", "import pytest"]) {
        let folder = folder.to_str().unwrap();
        assert!(run(python, &["-m", "venv", "--clear", folder]), "cannot make {folder}");
        assert!(run(&made, &["-m", "pip", "install", "--quiet", "pytest"]), "cannot install pytest");
    }
    made
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn eprint_line(line: &str) {
    eprintln!("\n{line}\n");
}

#[expect(clippy::disallowed_methods, reason = "the tests start pytest themselves, without a supervisor")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

fn run(program: &Path, arguments: &[&str]) -> bool {
    let quiet = command(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// A suite in a folder, with the folder of a program under test and the plugin beside it.
pub(super) struct Suite {
    folder: TempDir,
}

/// The result of a session.
pub(super) struct Session {
    pub(super) lines: Vec<String>,
    pub(super) junit: Result<Report, JunitError>,
    pub(super) output: String,
    /// The exit code of the interpreter.
    pub(super) code: Option<i32>,
}

impl Suite {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("student/README"), "");
        for (name, content) in MODULES {
            write(&folder.path().join("plugin").join(name), content);
        }
        let suite = Self { folder };
        for (name, content) in files {
            write(&suite.at(name), content);
        }
        suite
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join("suite").join(name)
    }

    /// Runs pytest, and calls `seen` with each line and the process.
    pub(super) fn run(&self, arguments: &[&str], mut seen: impl FnMut(&str, &Child)) -> Option<Session> {
        let python = interpreter()?;
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut child = self.start(python, arguments, theirs);
        let mut lines = Vec::new();
        for line in BufReader::new(&ours).lines() {
            let line = match line {
                // An end too: pytest was interrupted before it read its last answer.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                line => line.unwrap(),
            };
            seen(&line, &child);
            let is = |event: &str| line.contains(&format!(r#""event":"{event}""#));
            if is("start") || is("end") || is("trust") {
                // The process may have been killed meanwhile.
                let _ = (&ours).write(b"+");
            }
            // The supervisor does not pass this line on.
            if !is("trust") {
                lines.push(line);
            }
        }
        let code = child.wait().unwrap().code();
        let output = fs::read_to_string(self.folder.path().join("output")).unwrap();
        let junit = junit::read_file(&self.folder.path().join("report.xml"), None, &Limits::default());
        Some(Session { lines, junit, output, code })
    }

    fn start(&self, python: &Path, arguments: &[&str], theirs: UnixStream) -> Child {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let output = fs::File::create(at("output")).unwrap();
        // The shell moves the socket away from standard input, which pytest replaces. A shell that runs the tests in the background
        // ignores SIGINT for them; the supervisor never does.
        command(Path::new("sh"))
            .args(["-c", "exec 9<&0 </dev/null; exec env --default-signal=INT \"$@\"", "sh"])
            .arg(python)
            .args(["-m", "pytest", "--continue-on-collection-errors", "--junit-xml"])
            .arg(at("report.xml"))
            .args(arguments)
            .current_dir(at("suite"))
            .env("OSTEST_EVENTS", "9")
            .env("OSTEST_SUITE", at("suite"))
            .env("OSTEST_WRITABLE", at("student"))
            .env("PYTHONPATH", at("plugin"))
            .env("PYTEST_ADDOPTS", format!("-p ostest_plugin --rootdir={}", at("suite")))
            .env_remove("PYTHONDONTWRITEBYTECODE")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap()
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

impl Session {
    pub(super) fn events(&self) -> Events {
        let lines = self.lines.iter().map(|text| Line { text, ..Line::default() });
        Events::read(lines, &Limits::default()).unwrap_or_else(|| panic!("no hello: {}", self.output))
    }

    /// The report from the events alone.
    pub(super) fn report(&self) -> Report {
        self.events().judge(Err(JunitError::Missing), "it was killed", &Limits::default()).0
    }

    /// The outcomes from the events alone, with the last part of each name.
    pub(super) fn outcomes(&self) -> Vec<(String, Outcome)> {
        let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
        self.report().cases.iter().map(|case| (last(&case.name), case.outcome)).collect()
    }

    pub(super) fn assert_all_passed(&self, count: u64) {
        let report = self.report();
        assert_eq!((report.tally.passed, report.tally.total()), (count, count), "{}", self.output);
        assert!(self.events().complete(), "{}", self.output);
    }
}
