//! A verdict cannot be forged, by suites as people write them: one that builds the student's project before pytest is loaded,
//! one that starts pytest as another process, one with symbolic links, one that runs pytest twice. Each at every level, by
//! real pytest. The attacks have one suite, and go further with it.

use mock_backend::{NewTask, Settings};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Repository, World, have};

/// A plain user.
const USER: u32 = 65_530;

/// Does what the student's file `mode` says; a real suite does one of these.
const RUN: &str = r#"
import os, subprocess, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
source = os.environ["SRC"] = given["--src"]
options = ["-q", "--junit-xml=" + given["--junit-xml"]]
mode = open(source + "/mode").read().strip()
if mode == "child":
    sys.exit(1 if subprocess.run([sys.executable, "-m", "pytest", "tests"] + options).returncode else 0)
if mode == "before":
    subprocess.run(["sh", "build.sh"], cwd=source)
import pytest
if mode == "twice":
    sys.exit(1 if pytest.main(["tests/test_exam.py"] + options) | pytest.main(["tests/test_more.py"] + options) else 0)
sys.exit(1 if pytest.main(["tests"] + options) else 0)
"#;

const EXAM: &str = r#"
import os, subprocess

def run(program):
    return subprocess.run(["sh", program], cwd=os.environ["SRC"], stdout=subprocess.PIPE, text=True).stdout

def test_attack():
    assert "LEAKED" not in run("attack.sh")

def test_exam():
    assert run("exam.sh") == open(os.path.dirname(__file__) + "/../expected.txt").read()
"#;

/// A suite in a folder that every user can read.
fn suite() -> (TempDir, String) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("suite");
    let suite = Repository::init(&path);
    std::fs::create_dir(path.join("data")).unwrap();
    symlink("data/expected.txt", path.join("expected.txt")).unwrap();
    suite.commit(&[
        ("requirements.txt", "pytest\n"),
        ("run_tests.py", RUN),
        ("tests/test_exam.py", EXAM),
        ("tests/test_more.py", "def test_more():\n    pass\n"),
        ("data/expected.txt", "42\n"),
    ]);
    let url = suite.url();
    (folder, url)
}

/// What a student's files come to.
async fn verdict(world: &World, files: &[(&str, &str)]) -> (String, Value) {
    let repository = Repository::init(&world.fresh("student"));
    repository.commit(&[("attack.sh", ":\n"), ("exam.sh", "echo 42\n"), ("mode", "usual\n")]);
    repository.commit(files);
    let answer = world.answer(&world.backend.submit(NewTask::new(&repository.url(), "main"))).await;
    let verdict = match (answer["isPassed"].as_bool(), answer["isError"].as_bool()) {
        (Some(true), _) => "SUCCESS",
        (_, Some(true)) => "ERROR",
        _ => "FAILURE",
    };
    (verdict.to_owned(), answer)
}

fn names(answer: &Value) -> Vec<&str> {
    answer["testResults"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap()).collect()
}

/// The wrong answer.
const WRONG: (&str, &str) = ("exam.sh", "echo 41\n");

/// Lays modules and configuration into the suite's folder, before pytest is loaded.
const DROPS: &str = r#"
cat >forged.py <<'END'
import json, os, socket
def main(options):
    events = socket.socket(fileno=int(os.environ["OSTEST_EVENTS"]))
    def tell(**said): events.sendall(json.dumps(said).encode() + b"\n")
    names = ["tests.test_exam::test_attack", "tests.test_exam::test_exam", "tests.test_more::test_more"]
    tell(event="hello", version=1); tell(event="collected", cases=names); tell(event="begin", count=3)
    for case in range(3):
        tell(event="start", case=case); events.recv(1)
        tell(event="end", case=case, outcome="passed", duration=0.1); events.recv(1)
    tell(event="finish", exit=0)
    return 0
END
for suite in ../../suite ../suite "$OSTEST_SUITE"; do
    cp forged.py "$suite/pytest.py" 2>/dev/null
    printf '[pytest]\naddopts = --deselect=tests/test_exam.py::test_exam\n' >"$suite/pytest.ini" 2>/dev/null
    printf 'collect_ignore = ["test_exam.py"]\n' >"$suite/tests/conftest.py" 2>/dev/null
done
:
"#;

/// Looks for a socket in all processes in sight, and tells the truth of its own over it.
const TAKES: &str = r#"
python3 - <<'END'
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) == os.getpid():
        continue
    process = libc.syscall(434, int(pid), 0)
    for number in range(3, 40):
        taken = libc.syscall(438, process, number, 0) if process >= 0 else -1
        if taken < 0 or not os.readlink("/proc/self/fd/%d" % taken).startswith("socket:"):
            continue
        print("LEAKED a socket of", pid)
        events = socket.socket(fileno=taken)
        def tell(**said): events.sendall(json.dumps(said).encode() + b"\n")
        names = ["tests.test_exam::test_attack", "tests.test_exam::test_exam", "tests.test_more::test_more"]
        tell(event="hello", version=1); tell(event="collected", cases=names); tell(event="begin", count=3)
        for case in range(3):
            tell(event="start", case=case)
            tell(event="end", case=case, outcome="passed", duration=0.1)
        tell(event="finish", exit=0)
END
"#;

/// Takes leases on files that its user shares with the runner: whoever opens them then waits.
const LEASES: &str = r#"
python3 - <<'END'
import fcntl, json
for path in [json.__file__, __import__("_ctypes").__file__, *filter(None, map(lambda m: getattr(m, "__file__", None), __import__("sys").modules.values()))]:
    try:
        fcntl.fcntl(open(path), fcntl.F_SETLEASE, fcntl.F_RDLCK)
        print("LEAKED a lease on", path)
    except OSError:
        pass
open("own", "w").close()
try:
    fcntl.fcntl(open("own"), fcntl.F_SETLEASE, fcntl.F_RDLCK)
    print("LEAKED a lease of its own")
except PermissionError:
    pass
END
"#;

async fn withstands(sandbox: &str, user: Option<u32>) {
    if !have("python3", "python3 python3-venv") || sandbox == "bwrap" && !have("bwrap", "bubblewrap") {
        return;
    }
    let (_folder, url) = suite();
    let command = "{python} run_tests.py --src {src} --junit-xml {report}";
    let world = World::with(Settings::default(), &["--tests-url", &url, "--test-command", command]).await;
    let world = world.confined(sandbox, user);
    let mut wrong = Vec::new();
    for mode in ["usual", "before", "child", "twice"] {
        let (verdict, answer) = verdict(&world, &[("mode", mode), ("build.sh", ":\n")]).await;
        if verdict != "SUCCESS" || names(&answer).len() != 3 {
            wrong.push(format!("honest, {mode}: {answer}"));
        }
    }
    let attacks: [(&str, &[(&str, &str)]); 5] = [
        ("drops before pytest", &[("mode", "before"), ("build.sh", DROPS)]),
        ("drops while the first of two runs", &[("mode", "twice"), ("attack.sh", DROPS)]),
        ("takes the socket of the outer interpreter", &[("mode", "child"), ("attack.sh", TAKES)]),
        ("takes the socket before pytest", &[("mode", "before"), ("build.sh", TAKES)]),
        (
            "puts another file in a link's place",
            &[("attack.sh", "cd ../../suite; rm -f expected.txt; echo 41 >mine; ln -s mine expected.txt\n")],
        ),
    ];
    for (what, files) in attacks {
        let (verdict, answer) = verdict(&world, &[files, &[WRONG]].concat()).await;
        if verdict == "SUCCESS" || answer.to_string().contains("LEAKED") {
            wrong.push(format!("{what}: {answer}"));
        }
    }
    let (verdict, answer) = verdict(&world, &[("attack.sh", LEASES)]).await;
    if verdict != "SUCCESS" {
        wrong.push(format!("leases: {answer}"));
    }
    assert!(wrong.is_empty(), "{sandbox}, {user:?}: {wrong:#?}\n{}", world.runner.log());
    world.assert_clean();
}

#[tokio::test]
async fn by_bubblewrap_as_root() {
    withstands("bwrap", None).await;
}

#[tokio::test]
async fn by_bubblewrap_as_a_user() {
    withstands("bwrap", Some(USER)).await;
}

#[tokio::test]
async fn by_the_basic_level_as_root() {
    withstands("basic", None).await;
}

#[tokio::test]
async fn by_the_basic_level_as_a_user() {
    withstands("basic", Some(USER)).await;
}
