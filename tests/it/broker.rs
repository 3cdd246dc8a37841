//! Tests of the file broker: the protection without it, and that the suite's interpreters can still write their files.
//! `attacks` and `forging` test what it denies to a program.

use std::os::unix::fs::PermissionsExt;

use mock_backend::{NewTask, Settings};

use crate::forging::{CLOSES, USER, WRONG, suite, verdict};
use crate::support::{Repository, World, fault_in, have};

/// A program that executes the runner behind a seccomp filter. The filter answers the runner's query for
/// user-space notifications as a kernel without them does.
const WITHOUT_NOTIFICATIONS: &str = r#"#!/usr/bin/python3
import ctypes, os, struct, sys
LIBC = ctypes.CDLL(None, use_errno=True)
SECCOMP, GET_ACTION_AVAIL, ENOSYS = 317, 2, 38
def line(code, yes, no, value): return struct.pack("HBBI", code, yes, no, value)
lines = [
    line(0x20, 0, 0, 0), line(0x15, 0, 3, SECCOMP),
    line(0x20, 0, 0, 16), line(0x15, 0, 1, GET_ACTION_AVAIL),
    line(0x06, 0, 0, 0x50000 | ENOSYS), line(0x06, 0, 0, 0x7fff0000),
]
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_char_p)]
program = Program(len(lines), b"".join(lines))
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
assert LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0) == 0
os.execv(__file__ + "-itself", sys.argv)
"#;

/// Without user-space notifications the runner cannot prevent a change to the suite. It detects the change and ends the
/// attempt; the log names this protection.
#[tokio::test]
async fn change_to_suite_ends_run_without_broker() {
    if !have("python3", "python3 python3-venv") {
        return;
    }
    let (_folder, url) = suite();
    let command = "{python} run_tests.py --src {src} --junit-xml {report}";
    let world = World::with(Settings::default(), &["--tests-url", &url, "--test-command", command]).await;
    let mut world = world.confined("basic", Some(USER));
    world.runner.kill();
    let runner = world.folder().join("runner");
    std::fs::rename(&runner, world.folder().join("runner-itself")).unwrap();
    std::fs::write(&runner, WITHOUT_NOTIFICATIONS).unwrap();
    std::fs::set_permissions(&runner, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.restart();

    let (unchanged, answer) = verdict(&world, &[]).await;
    assert_eq!(unchanged, "SUCCESS", "{answer}");
    assert_eq!(world.runner.enforces("suite").await.as_deref(), Some("watched"));
    for change in [
        "chmod 644 ../../suite/cases/1.txt",
        "rm -f ../../suite/cases/1.txt",
        "mv ../../suite/cases ../../suite/other",
        "chmod 000 ../../suite",
    ] {
        let (changed, answer) = verdict(&world, &[WRONG, ("attack.sh", change)]).await;
        assert_eq!(changed, "ERROR", "{change}: {answer}");
        let fault = fault_in(&world.runner.log(), |_| true);
        assert_eq!(fault, "execute/program", "{change}: {answer}");
    }
    let (closed, answer) = verdict(&world, &[("mode", "before"), ("build.sh", CLOSES)]).await;
    assert_eq!(closed, "ERROR", "{answer}");
    let (next, answer) = verdict(&world, &[]).await;
    assert_eq!(next, "SUCCESS", "{answer}");
    assert!(world.runner.logged("environment_reopened"));
}

const FILES: &str = r#"
import ctypes, multiprocessing, os, pytest, shutil

def work(folder):
    path = os.path.join(folder, "one")
    open(path, "w").close()
    os.chmod(path, 0o600)
    os.rename(path, path + "-new")
    os.unlink(path + "-new")

@pytest.mark.parametrize("number", range(6))
def test_files(tmp_path, number):
    work(tmp_path)
    os.makedirs(tmp_path / "tree/of/folders")
    shutil.rmtree(tmp_path / "tree")

def test_hidden():
    PR_GET_DUMPABLE = 3
    assert ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0

def test_forked(tmp_path):
    forked = multiprocessing.get_context("fork").Process(target=work, args=(tmp_path,))
    forked.start()
    forked.join()
    assert forked.exitcode == 0
"#;

/// The broker trusts the suite's interpreters, because no other process can trace them.
#[tokio::test]
async fn broker_lets_interpreters_and_xdist_workers_write() {
    if !have("python3", "python3 python3-venv") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let suite = Repository::init(&folder.path().join("suite"));
    suite.commit(&[
        ("requirements.txt", "pytest\npytest-xdist\n"),
        ("conftest.py", "def pytest_addoption(parser):\n    parser.addoption('--src')\n"),
        ("test_files.py", FILES),
    ]);
    let command = "{python} -m pytest -q -n 2 test_files.py --src {src} --junit-xml {report}";
    let url = suite.url();
    for sandbox in ["basic", "auto"] {
        for command in [command, &command.replace("-n 2", "-p no:xdist")] {
            let arguments = ["--tests-url", &url, "--test-command", command, "--timeout", "60"];
            let world = World::with(Settings::default(), &arguments).await;
            let world = world.confined(sandbox, Some(USER));
            let student = Repository::init(&world.fresh("student"));
            student.commit(&[("main.c", "int main(void) { return 0; }\n")]);
            let answer = world.answer(&world.backend.submit(NewTask::new(&student.url(), "main"))).await;
            assert_eq!(answer["isPassed"], true, "{sandbox}, {command}: {answer}\n{}", world.runner.log());
            assert_eq!(
                answer["testResults"].as_array().map(Vec::len),
                Some(8),
                "{sandbox}, {command}: {answer}"
            );
            assert_eq!(world.runner.enforces("suite").await.as_deref(), Some("read-only"));
        }
    }
}

/// The broker does not hide the signal that ended the suite.
#[tokio::test]
async fn signal_of_suite_is_reported_through_broker() {
    if !have("python3", "python3 python3-venv") {
        return;
    }
    let (_folder, url) = suite();
    let command = "/bin/sh {src}/end.sh {report}";
    let world = World::with(Settings::default(), &["--tests-url", &url, "--test-command", command]).await;
    let world = world.confined("basic", Some(USER));
    for (signal, name) in [("SEGV", "SIGSEGV"), ("BUS", "SIGBUS"), ("PIPE", "SIGPIPE"), ("TERM", "SIGTERM")] {
        let (ended, answer) = verdict(&world, &[("end.sh", &format!("kill -{signal} $$\n"))]).await;
        assert_eq!(ended, "ERROR", "{answer}");
        assert!(answer["errorDetails"].as_str().unwrap().contains(name), "{name}: {answer}");
    }
    assert_eq!(world.runner.enforces("suite").await.as_deref(), Some("read-only"));
}
