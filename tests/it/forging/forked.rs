//! Suites with pytest-forked, which runs each case in a process of its own: the same comes of them as without the runner,
//! and no program under test has a way to what those processes say.

use super::{Settings, TempDir, World, forgery_warnings, have, names, verdict};
use crate::sandbox::{case, memory, text};
use crate::support::Repository;

/// Runs the suite once as anybody would, in an interpreter that the runner does not listen to; then for the runner.
const RUN_BOTH: &str = r#"
import os, subprocess, sys
import pytest
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
os.environ["PLAIN"], os.environ["REPORT"] = given["--src"] + "/plain.xml", given["--junit-xml"]
plain = ["tests", "--forked", "-q", "--junit-xml=" + os.environ["PLAIN"]]
assert subprocess.run([sys.executable, "-m", "pytest"] + plain).returncode == 1
assert pytest.main(["tests", "--forked", "-q", "--junit-xml=" + os.environ["REPORT"]]) == 1
sys.exit(1 if pytest.main(["beyond"]) else 0)
"#;

const CASES: &str = r#"
import os, pytest, signal, time

seen = []

def test_passes():
    seen.append(1)

def test_is_alone():
    assert not seen

def test_fails():
    assert "right" == "wrong"

def test_prints():
    os.system("echo from a program")
    print("more than a pipe holds " * 10000)
    assert False

def test_is_skipped():
    pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_fails_as_expected():
    assert False

@pytest.mark.xfail(reason="known")
def test_passes_unexpectedly():
    pass

def test_aborts():
    os.abort()

def test_faults():
    os.kill(os.getpid(), signal.SIGSEGV)

@pytest.mark.xfail(reason="known")
def test_aborts_as_expected():
    os.abort()

def test_leaves():
    os._exit(7)

@pytest.fixture
def broken():
    yield
    raise ValueError("broken")

def test_teardown(broken):
    pass

def test_takes_memory():
    held = b"x" * (100 << 20)
    time.sleep(0.5)
"#;

/// What pytest-forked alone does not get through, or does not have; and that the two runs came to the same.
const BEYOND: &str = r#"
import ctypes, os, time, pytest
from xml.etree import ElementTree

def outcomes(path):
    cases = ElementTree.parse(path).iter("testcase")
    return [(case.get("name"), [(what.tag, what.get("message")) for what in case]) for case in cases]

def test_same():
    plain = outcomes(os.environ["PLAIN"])
    assert len(plain) == 13 and outcomes(os.environ["REPORT"]) == plain

@pytest.mark.forked
def test_is_hidden():
    PR_GET_DUMPABLE = 3
    assert ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0

@pytest.mark.forked
def test_says_nothing():
    os._exit(0)

@pytest.mark.forked
def test_leaves_a_fork():
    if os.fork() == 0:
        time.sleep(600)
    os.abort()

@pytest.mark.forked
def test_is_left_by_a_fork():
    if os.fork() == 0:
        return
    os.wait()
    assert False, "the word of the first"
"#;

pub(super) fn suite(requirements: &str, files: &[(&str, &str)]) -> (TempDir, String) {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let suite = Repository::init(&folder.path().join("suite"));
    suite.commit(&[("requirements.txt", requirements)]);
    suite.commit(files);
    let url = suite.url();
    (folder, url)
}

pub(super) async fn world(url: &str, sandbox: &str, user: Option<u32>) -> World {
    let command = "{python} run_tests.py --src {src} --junit-xml {report}";
    let world = World::with(Settings::default(), &["--tests-url", url, "--test-command", command]).await;
    world.confined(sandbox, user)
}

/// It has another way of its own for what its processes say, and what a crash is called.
#[tokio::test]
async fn the_same_comes_of_a_suite_as_without_the_runner() {
    is_the_same(NEWEST, "EXITED with status 0").await;
}

#[tokio::test]
async fn the_same_comes_of_a_suite_with_an_older_version() {
    is_the_same("pytest<9\npytest-forked==1.6.0\n", "CRASHED with signal 0").await;
}

/// With the pytest that it knows.
const NEWEST: &str = "pytest<9\npytest-forked\n";

async fn is_the_same(requirements: &str, silent: &str) {
    if !have("python3", "python3 python3-venv") {
        return;
    }
    let files =
        [("run_tests.py", RUN_BOTH), ("tests/test_cases.py", CASES), ("beyond/test_beyond.py", BEYOND)];
    let (_folder, url) = suite(requirements, &files);
    let world = world(&url, "auto", None).await;
    let (verdict, answer) = verdict(&world, &[]).await;
    assert_eq!((verdict.as_str(), names(&answer).len()), ("ERROR", 18), "{answer:#}");
    for (name, passed) in [
        ("passes", true),
        ("is_alone", true),
        ("fails", false),
        ("aborts", false),
        ("same", true),
        ("is_hidden", true),
        ("says_nothing", false),
        ("leaves_a_fork", false),
        ("is_left_by_a_fork", false),
    ] {
        assert_eq!(case(&answer, name)["isPassed"], passed, "{name}: {answer:#}");
    }
    for (name, words) in [
        ("aborts", "CRASHED with signal 6"),
        ("faults", "CRASHED with signal 11"),
        ("says_nothing", silent),
        ("leaves_a_fork", "CRASHED with signal 6"),
        ("is_left_by_a_fork", "the word of the first"),
        ("is_skipped", "not today"),
        ("teardown", "broken"),
    ] {
        assert!(text(&answer, name).contains(words), "{name}: {answer:#}");
    }
    assert!(memory(&answer, "takes_memory") > memory(&answer, "passes") + 80, "{answer:#}");
    assert!(forgery_warnings(&world, "pytest-forked").is_empty(), "{}", world.runner.log());
    world.assert_clean();
}

const RUN: &str = r#"
import os, sys
import pytest
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
os.environ["SRC"] = given["--src"]
sys.exit(1 if pytest.main(["tests", "--forked", "-q", "--junit-xml=" + given["--junit-xml"]]) else 0)
"#;

/// Careless: what the interpreter would let a child inherit, this one inherits.
const EXAM: &str = r#"
import os, subprocess

def test_exam():
    ran = subprocess.run(["sh", "exam.sh"], cwd=os.environ["SRC"], stdout=subprocess.PIPE, close_fds=False)
    assert ran.stdout == b"42\n"
"#;

/// Answers wrongly, and leaves a program that says otherwise.
pub(super) const FORGES: &str = "
setsid python3 forge.py $PPID $(readlink /proc/$$/fd/1) </dev/null >/dev/null 2>&1 &
sleep 1
echo 41
";

/// While the interpreter is stopped and the case's process has ended: puts another message in the place of what is in the pipes
/// that are in sight, and in all files of the folders for temporary ones; those of pytest-forked are named `retval`.
pub(super) const FORGE: &str = r#"
import ctypes, marshal, os, signal, struct, sys, time

def stat(pid):
    return open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()

# The pipe of the exam's own output is not to be held: the case would wait for its end.
case, output = sys.argv[1:]
interpreter = int(stat(case)[1])
os.kill(interpreter, signal.SIGSTOP)
said = marshal.dumps([
    dict(nodeid="tests/test_exam.py::test_exam", location=("tests/test_exam.py", 3, "test_exam"), keywords={},
         outcome="passed", longrepr=None, when=when, sections=[], duration=0.01)
    for when in ("setup", "call", "teardown")
])
def pipes():
    libc = ctypes.CDLL(None)
    for pid in ["self"] + list(filter(str.isdigit, os.listdir("/proc"))):
        process = libc.syscall(434, int(pid), 0) if pid != "self" else -1
        for number in range(3, 100):
            taken = libc.syscall(438, process, number, 0) if process >= 0 else -1
            path = "/proc/self/fd/%d" % taken if taken >= 0 else "/proc/%s/fd/%d" % (pid, number)
            try:
                if os.readlink(path).startswith("pipe:") and os.readlink(path) != output:
                    yield os.open(path, os.O_RDWR | os.O_NONBLOCK)
            except OSError:
                pass

found = list(pipes())
end = time.monotonic() + 5
while time.monotonic() < end and stat(case)[0] != "Z":
    time.sleep(0.01)
for pipe in found:
    try:
        os.read(pipe, 1 << 16)
        os.write(pipe, struct.pack("!Q", len(said)) + said)
    except OSError:
        pass
for top in (os.environ.get("TMPDIR", "/tmp"), "/tmp", "/var/tmp"):
    for folder, _, files in os.walk(top):
        if "retval" in files:
            open(os.path.join(folder, "retval"), "wb").write(said)
os.kill(interpreter, signal.SIGCONT)
"#;

async fn withstands(sandbox: &str, user: Option<u32>) {
    if !have("python3", "python3 python3-venv") || sandbox == "bwrap" && !have("bwrap", "bubblewrap") {
        return;
    }
    let (_folder, url) = suite(NEWEST, &[("run_tests.py", RUN), ("tests/test_exam.py", EXAM)]);
    let world = world(&url, sandbox, user).await;
    let (honest, answer) = verdict(&world, &[]).await;
    assert_eq!((honest.as_str(), names(&answer).len()), ("SUCCESS", 1), "{answer}\n{}", world.runner.log());
    let (forged, answer) = verdict(&world, &[("exam.sh", FORGES), ("forge.py", FORGE)]).await;
    assert_eq!((forged.as_str(), names(&answer).len()), ("FAILURE", 1), "{answer}\n{}", world.runner.log());
    assert!(text(&answer, "exam").contains("41"), "{answer}");
    assert!(forgery_warnings(&world, "pytest-forked").is_empty(), "{}", world.runner.log());
    world.assert_clean();
}

at_each_level!(withstands);
