//! The plugin in a real pytest, driven over a real socket: what it tells is what the report file of the same run says,
//! and a student's program cannot get in between.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::super::plugin::MODULES;
use super::{Events, Line};
use report::Outcome::{Errored, Failed, Passed};
use report::junit::{self, JunitError};
use report::{Limits, Outcome, Report, UNNAMED};

/// An interpreter that has pytest: the one that `RUNNER_TEST_PYTEST` names, else the machine's, else one that is made.
fn interpreter() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let machines = sandbox::command::find_program("python3").map(|_| PathBuf::from("python3"));
            let Some(found) = env::var_os("RUNNER_TEST_PYTEST").map(PathBuf::from).or(machines) else {
                let line = "python3 is not installed (apt-get install python3 python3-venv)";
                assert!(env::var_os("RUNNER_TEST_NO_SKIP").is_none(), "{line}");
                eprint_line(&format!("!!! SKIPPED: {line}"));
                return None;
            };
            Some(if run(&found, &["-c", "import pytest"]) { found } else { make_environment(&found) })
        })
        .as_deref()
}

/// Kept beside the test programs, since it takes seconds to make.
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

#[expect(clippy::disallowed_methods, reason = "the tests start pytest as the runner will")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

fn run(program: &Path, arguments: &[&str]) -> bool {
    let quiet = command(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// A suite in a folder of its own, a student's folder beside it, and the plugin.
struct Suite {
    folder: TempDir,
}

/// What came of a session.
struct Session {
    lines: Vec<String>,
    junit: Result<Report, JunitError>,
    output: String,
    /// How the interpreter ended.
    code: Option<i32>,
}

impl Suite {
    fn new(files: &[(&str, &str)]) -> Self {
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

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join("suite").join(name)
    }

    /// Runs pytest; `seen` is called with each line and the process.
    fn run(&self, arguments: &[&str], mut seen: impl FnMut(&str, &Child)) -> Option<Session> {
        let python = interpreter()?;
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut child = self.start(python, arguments, theirs);
        let mut lines = Vec::new();
        for line in BufReader::new(&ours).lines() {
            let line = match line {
                // The end, too: it was interrupted before it took its last answer.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                line => line.unwrap(),
            };
            seen(&line, &child);
            let says = |event: &str| line.contains(&format!(r#""event":"{event}""#));
            if says("start") || says("end") || says("trust") {
                // It may have been killed meanwhile.
                let _ = (&ours).write(b"+");
            }
            // The supervisor keeps that one to itself.
            if !says("trust") {
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
        // The shell moves the socket away from the standard input, which pytest has its own plans for. Whoever started
        // the tests may have left SIGINT ignored (a shell's background job), as the supervisor never does.
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
    fn events(&self) -> Events {
        let lines = self.lines.iter().map(|text| Line { text, ..Line::default() });
        Events::read(lines, &Limits::default()).unwrap_or_else(|| panic!("no hello: {}", self.output))
    }

    /// Name, outcome and description by the events alone.
    fn told(&self) -> Report {
        self.events().judge(Err(JunitError::Missing), "it was killed", &Limits::default()).0
    }

    /// The outcomes by the events alone, by the last part of the name.
    fn outcomes(&self) -> Vec<(String, Outcome)> {
        let last = |name: &str| name.rsplit("::").next().unwrap_or_default().to_owned();
        self.told().cases.iter().map(|case| (last(&case.name), case.outcome)).collect()
    }

    fn assert_all_passed(&self, count: u64) {
        let report = self.told();
        assert_eq!((report.tally.passed, report.tally.total()), (count, count), "{}", self.output);
        assert!(self.events().complete(), "{}", self.output);
    }
}

const SAMPLE: &[(&str, &str)] = &[
    ("tests/test_all.py", include_str!("sample/test_all.py")),
    ("tests/nested/deep/test_deep.py", include_str!("sample/test_deep.py")),
    ("other/test_skipped_module.py", "import pytest\npytest.skip('whole module', allow_module_level=True)\n"),
    ("other/test_broken.py", "import nothing_like_this\n"),
];

#[test]
fn events_and_report_file_say_the_same() {
    for style in [&["--tb=long"][..], &["--tb=line", "-p", "no:cacheprovider", "--junit-prefix=a.b"]] {
        let suite = Suite::new(SAMPLE);
        let Some(mut session) = suite.run(style, |_, _| {}) else { return };
        let told = session.told();
        let mut junit = std::mem::replace(&mut session.junit, Err(JunitError::Missing)).unwrap();
        // pytest writes two for this one, of which the reader of the events makes one.
        let double = junit.cases.iter().position(|case| case.name.ends_with("test_both")).unwrap();
        let second = junit.cases.remove(double + 1);
        let first = &mut junit.cases[double];
        first.description = format!("{}\n{}", first.description, second.description);
        first.outcome = second.outcome;
        let said = |report: &Report| -> Vec<_> {
            let cases = report.cases.iter();
            cases.map(|case| (case.name.clone(), case.outcome, case.description.clone())).collect()
        };
        let (told, said) = (said(&told), said(&junit));
        for (told, said) in told.iter().zip(&said) {
            if told.0.ends_with("test_long") {
                assert!(told.2.contains(" bytes cut …]") && told.2.len() <= 16 << 10);
                assert_eq!((&told.0, told.1, &told.2[..4_000]), (&said.0, said.1, &said.2[..4_000]));
            } else {
                assert_eq!(told, said);
            }
        }
        assert_eq!(told.len(), said.len());
        assert!(said.len() > 30, "{}", session.output);
        let (_, warnings) = session.events().judge(Ok(junit), "", &Limits::default());
        assert_eq!(warnings, [""; 0]);
        assert!(session.events().complete() && session.events().exit() == Some(1));
        assert!(session.lines.iter().all(|line| line.is_ascii() && line.len() < super::LONGEST_LINE));
    }
}

const THREE: &str = "import time\ndef test_1(): pass\ndef test_2(): time.sleep(60)\ndef test_3(): pass\n";

#[test]
fn an_interrupt_leaves_the_running_case_without_end() {
    let suite = Suite::new(&[("test_three.py", THREE)]);
    let signal_in_second = |signal: Signal| {
        suite.run(&[], |line, child| {
            if line.contains(r#""case":1,"event":"start""#) {
                kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            }
        })
    };
    let Some(interrupted) = signal_in_second(Signal::SIGINT) else { return };
    let expected = [("test_1", Passed), ("test_2", Errored), ("test_3", Failed)]
        .map(|(name, outcome)| (name.to_owned(), outcome));
    assert_eq!(interrupted.outcomes(), expected, "{}", interrupted.output);
    assert_eq!((interrupted.events().exit(), interrupted.events().complete()), (Some(2), false));
    let killed = signal_in_second(Signal::SIGKILL).unwrap();
    assert_eq!(killed.outcomes(), expected, "{}", killed.output);
    assert_eq!((killed.events().exit(), killed.events().complete()), (None, false));
}

#[test]
fn empty_and_misused_sessions_are_complete() {
    let suite = Suite::new(&[("test_three.py", THREE)]);
    for (arguments, exit) in [(&["-k", "nothing"], 5), (&["-q", "missing.py"], 4)] {
        let Some(session) = suite.run(arguments, |_, _| {}) else { return };
        let events = session.events();
        assert_eq!((events.exit(), events.total(), events.complete()), (Some(exit), 0, true));
        // Older interpreters may crash over what is left open to the end.
        assert_eq!(session.code.map(i64::from), Some(exit), "{}", session.output);
    }
}

#[test]
fn exit_inside_test_leaves_session_incomplete() {
    let suite = Suite::new(&[(
        "test_three.py",
        &THREE.replace("time.sleep(60)", "__import__('pytest').exit('enough')"),
    )]);
    let Some(mut session) = suite.run(&[], |_, _| {}) else { return };
    let expected = [Passed, Errored, Failed];
    assert!(session.outcomes().iter().map(|(_, outcome)| *outcome).eq(expected), "{}", session.output);
    // pytest's own file has a case without a name and without a failure for it.
    let junit = std::mem::replace(&mut session.junit, Err(JunitError::Missing)).unwrap();
    assert!(junit.cases.iter().any(|case| case.name == UNNAMED && case.outcome == Passed));
    let (report, warnings) = session.events().judge(Ok(junit), "it was stopped", &Limits::default());
    assert!(report.cases.iter().map(|case| case.outcome).eq(expected), "{report:?}");
    assert_eq!(warnings, [""; 0]);
}

/// As the plugin of that name would be registered; what it does in a process of its own is none of the events' business.
const FORKED: &str = "
def pytest_configure(config):
    config.addinivalue_line('markers', 'forked: in a process of its own')
    config.pluginmanager.register(type('Plugin', (), {})(), 'pytest_forked')
";

#[test]
fn tests_in_processes_of_their_own_are_doubted() {
    let tests =
        "import pytest\n\n@pytest.mark.forked\ndef test_one():\n    pass\n\ndef test_two():\n    pass\n";
    let suite = Suite::new(&[("conftest.py", FORKED), ("test_two.py", tests)]);
    let Some(session) = suite.run(&[], |_, _| {}) else { return };
    let (report, warnings) = session.events().judge(Err(JunitError::Missing), "", &Limits::default());
    assert_eq!(report.tally.passed, 2, "{report:?}\n{}", session.output);
    assert!(warnings[0].starts_with("pytest-forked: 1 tests run in processes"), "{warnings:?}");
}

const CHILDREN: &str = r#"
import os, subprocess, sys

def listing(**options):
    script = "import os; print([os.readlink('/proc/self/fd/' + fd) for fd in os.listdir('/proc/self/fd') if os.path.islink('/proc/self/fd/' + fd)])"
    return subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, **options).stdout.decode()

def test_no_child_has_the_socket():
    assert any("socket:" in os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if fd == "9")
    assert "socket:" not in listing(close_fds=False)
    assert "/dev/" in listing(close_fds=False)

def test_no_child_has_the_environment():
    assert not {"OSTEST_EVENTS", "OSTEST_SUITE", "OSTEST_WRITABLE"} & set(os.environ)
    assert "PYTHONPATH" not in os.environ
    assert os.environ["PYTEST_ADDOPTS"].startswith("--rootdir=")
    ran = subprocess.run([sys.executable, "-m", "pytest", "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ran.returncode == 0 and b"ostest" not in ran.stdout

def test_a_fork_is_silent():
    if os.fork() == 0:
        try:
            os.fstat(9)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.wait()[1] == 0

def test_nobody_reads_the_memory():
    assert os.stat("/proc/self/mem").st_uid == 0
    import ctypes
    assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
"#;

#[test]
fn children_get_neither_socket_nor_environment() {
    let suite = Suite::new(&[("test_children.py", CHILDREN)]);
    let Some(session) = suite.run(&[], |_, _| {}) else { return };
    session.assert_all_passed(4);
}

const GUARDED: &[(&str, &str)] = &[
    ("conftest.py", "import early\n"),
    ("early.py", "VALUE = 1\n"),
    ("lazy/__init__.py", ""),
    ("lazy/inner.py", "VALUE = 'suite'\n"),
    ("plain.py", "VALUE = 'suite'\n"),
    ("helper.py", "VALUE = 'suite'\n"),
    ("rewritten.py", "VALUE = 'suite'\n"),
    ("changed.py", "VALUE = 'suite'\n"),
    ("spaces/inside.py", "VALUE = 'suite'\n"),
    ("link.py", "VALUE = 'suite'\n"),
    ("test_a_guard.py", include_str!("sample/test_guard.py")),
    ("sub/__init__.py", ""),
    ("sub/conftest.py", "import pytest\n@pytest.fixture\ndef given():\n    return 3\n"),
    ("sub/test_sub.py", "def test_fixture_of_a_folder(given):\n    assert given == 3\n"),
];

#[test]
fn student_files_are_not_imported() {
    for mode in ["prepend", "append", "importlib"] {
        let suite = Suite::new(GUARDED);
        let mode = format!("--import-mode={mode}");
        let Some(session) = suite.run(&[&mode, "-rA"], |_, _| {}) else { return };
        session.assert_all_passed(12);
        assert!(!suite.at("__pycache__/early.pyc").exists());
    }
}
