//! A verdict cannot be forged in suites as people write them: a suite that builds the student's project before pytest is loaded, one
//! that starts pytest as another process, one with symbolic links, one that runs pytest twice. All run a real pytest. The attacks
//! have one suite, and go further with it.

/// Tests of `$withstands`, a function of a sandbox and of the runner's user (`None`: the user of the tests). `cargo test` runs it
/// once, with the strongest sandbox of this machine; `tests/deep.sh` runs it at every level.
macro_rules! at_each_level {
    ($withstands:ident) => {
        #[tokio::test]
        async fn with_the_strongest_sandbox() {
            let bwrap = sandbox::command::find_program("bwrap").is_some();
            $withstands(if bwrap { "bwrap" } else { "basic" }, None).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes; tests/deep.sh runs it"]
        async fn with_bubblewrap_as_a_user() {
            $withstands("bwrap", Some($crate::forging::USER)).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes; tests/deep.sh runs it"]
        async fn at_basic_level_as_root() {
            $withstands("basic", None).await;
        }

        #[tokio::test]
        #[ignore = "takes minutes; tests/deep.sh runs it"]
        async fn at_basic_level_as_a_user() {
            $withstands("basic", Some($crate::forging::USER)).await;
        }
    };
}

mod distributed;
mod forked;

use mock_backend::{NewTask, Settings};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Repository, World, have};

/// A plain user.
pub(crate) const USER: u32 = 65_530;

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
    sys.exit(1 if pytest.main(["tests/exam"] + options) | pytest.main(["tests/test_more.py"] + options) else 0)
sys.exit(1 if pytest.main(["tests"] + options) else 0)
"#;

const EXAM: &str = r#"
import glob, os, subprocess, time

SUITE = os.path.dirname(__file__) + "/../.."

def run(program):
    return subprocess.run(["sh", program], cwd=os.environ["SRC"], stdout=subprocess.PIPE, text=True).stdout

def test_attack():
    assert "LEAKED" not in run("attack.sh")

def test_data():
    for name in glob.glob(SUITE + "/cases/*.txt"):
        assert run("data.sh") == open(name).read()

def test_exam():
    if os.path.exists(os.environ["SRC"] + "/slowly"):
        time.sleep(1)
    assert run("exam.sh") == open(SUITE + "/expected.txt").read()
"#;

/// A suite in a folder that every user can read.
pub(crate) fn suite() -> (TempDir, String) {
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
        ("tests/exam/test_exam.py", EXAM),
        ("tests/test_more.py", "def test_more():\n    pass\n"),
        ("data/expected.txt", "42\n"),
        ("cases/1.txt", "42\n"),
    ]);
    let url = suite.url();
    (folder, url)
}

/// What a student's files come to.
pub(crate) async fn verdict(world: &World, files: &[(&str, &str)]) -> (String, Value) {
    let repository = Repository::init(&world.fresh("student"));
    repository.commit(&[
        ("attack.sh", ":\n"),
        ("exam.sh", "echo 42\n"),
        ("data.sh", "echo 42\n"),
        ("mode", "usual\n"),
    ]);
    repository.commit(files);
    let answer = world.answer(&world.backend.submit(NewTask::new(&repository.url(), "main"))).await;
    let verdict = match (answer["isPassed"].as_bool(), answer["isError"].as_bool()) {
        (Some(true), _) => "SUCCESS",
        (_, Some(true)) => "ERROR",
        _ => "FAILURE",
    };
    (verdict.to_owned(), answer)
}

/// Warnings that a program under test could forge outcomes of `plugin`, such as `pytest-xdist`. A warning about the
/// measured memory is not one of them.
fn forgery_warnings(world: &World, plugin: &str) -> Vec<String> {
    let events = world.runner.events("report_warning");
    let warnings =
        events.iter().filter(|event| event["kind"] == "doubt").filter_map(|e| e["warning"].as_str());
    warnings.filter(|text| text.contains(plugin) && !text.contains("memoryUsed")).map(str::to_owned).collect()
}

fn names(answer: &Value) -> Vec<&str> {
    answer["testResults"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap()).collect()
}

/// The wrong answer.
pub(crate) const WRONG: (&str, &str) = ("exam.sh", "echo 41\n");
const WRONG_DATA: (&str, &str) = ("data.sh", "echo 41\n");
/// The right one after all.
const RIGHT: (&str, &str) = ("exam.sh", "echo 42\n");

/// Lays the names of packages into the suite's folder: pytest takes its plugins by them, the first one of a name.
const NAMES: &str = r"
mkdir -p ../../suite/aaa-1.dist-info
printf 'Metadata-Version: 2.1\nName: aaa\nVersion: 1\n' >../../suite/aaa-1.dist-info/METADATA
printf '[pytest11]\nostest = json\nostest_plugin = json\n' >../../suite/aaa-1.dist-info/entry_points.txt
";

/// Lays modules and configuration into the suite's folder, before pytest is loaded.
const DROPS: &str = r#"
cat >forged.py <<'END'
import json, os, socket
def main(options):
    events = socket.socket(fileno=int(os.environ["OSTEST_EVENTS"]))
    def tell(**said): events.sendall(json.dumps(said).encode() + b"\n")
    names = ["tests.exam.test_exam::test_attack", "tests.exam.test_exam::test_data", "tests.exam.test_exam::test_exam", "tests.test_more::test_more"]
    tell(event="hello", version=1); tell(event="collected", cases=names); tell(event="begin", count=4)
    for case in range(4):
        tell(event="start", case=case); events.recv(1)
        tell(event="end", case=case, outcome="passed", duration=0.1); events.recv(1)
    tell(event="finish", exit=0)
    return 0
END
for suite in ../../suite ../suite "$OSTEST_SUITE"; do
    cp forged.py "$suite/pytest.py" 2>/dev/null
    printf '[pytest]\naddopts = --deselect=tests/exam/test_exam.py::test_exam\n' >"$suite/pytest.ini" 2>/dev/null
    printf 'collect_ignore = ["exam"]\n' >"$suite/tests/conftest.py" 2>/dev/null
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
        names = ["tests.exam.test_exam::test_attack", "tests.exam.test_exam::test_data", "tests.exam.test_exam::test_exam", "tests.test_more::test_more"]
        tell(event="hello", version=1); tell(event="collected", cases=names); tell(event="begin", count=4)
        for case in range(4):
            tell(event="start", case=case)
            tell(event="end", case=case, outcome="passed", duration=0.1)
        tell(event="finish", exit=0)
END
"#;

/// Makes a virtual environment of the exam's folder: pytest collects nothing there.
const DISGUISES: &str = "
cd ../../suite/tests/exam
touch pyvenv.cfg
mkdir -p bin conda-meta
touch bin/activate conda-meta/history
";

/// Leaves the suite no file to open while it looks for its data, and gives that back before it needs some.
const STARVES: &str = r#"
prlimit --pid $PPID --nofile=3:256 && (setsid sh -c "sleep 0.5; prlimit --pid $PPID --nofile=256:256" >/dev/null 2>&1 &)
:
"#;

/// Closes the folder that makes pytest load the plugin.
pub(crate) const CLOSES: &str = r#"
for folder in "$(dirname "$(dirname "$(command -v python3)")")"/lib/python3*/site-packages/ostest_plugin-1.dist-info; do
    chmod 000 "$folder"
done
:
"#;

/// Changes what is no file of the suite's, and no mount: its links, its folders, and the way to them.
const TAKES_APART: &str = "
cd ../../suite && echo 41 >mine
for change in 'rm -f expected.txt' 'ln -sfn mine expected.txt' 'mv -T mine expected.txt' 'touch -h -d 2001-01-01 expected.txt' 'mv expected.txt other' \
    'chmod 000 cases' 'chmod 000 .' 'chmod 700 tests/exam' 'touch -d 2001-01-01 cases' 'mv cases other' 'rmdir data' 'mv ../suite ../other' \
    'chmod 000 ..' 'chmod 000 ../..'; do
    $change 2>/dev/null && echo \"LEAKED $change\"
done
:
";

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
        if verdict != "SUCCESS" || names(&answer).len() != 4 {
            wrong.push(format!("honest, {mode}: {answer}"));
        }
    }
    let attacks: [(&str, &[(&str, &str)]); 8] = [
        ("hides the exam from the collection", &[("mode", "before"), ("build.sh", DISGUISES)]),
        (
            "closes a folder of the suite",
            &[("attack.sh", "chmod 000 ../../suite/cases\n"), RIGHT, WRONG_DATA],
        ),
        ("takes the suite's files away", &[("attack.sh", STARVES), ("slowly", ""), RIGHT, WRONG_DATA]),
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
        let (verdict, answer) = verdict(&world, &[&[WRONG], files].concat()).await;
        if verdict == "SUCCESS" || answer.to_string().contains("LEAKED") {
            wrong.push(format!("{what}: {answer}"));
        }
    }
    let untold =
        || world.runner.events("report_warning").iter().filter(|event| event["kind"] == "no_plugin").count();
    let before = untold();
    for mode in [&[("mode", "before"), ("build.sh", NAMES)], &[("mode", "twice"), ("attack.sh", NAMES)]] {
        let (verdict, answer) = verdict(&world, &[&[WRONG][..], mode].concat()).await;
        if verdict != "FAILURE" || names(&answer).len() != 4 || untold() > before {
            wrong.push(format!("takes the plugin's name: {answer}"));
        }
    }
    for (what, script) in [("leases", LEASES), ("takes the suite apart", TAKES_APART)] {
        let (verdict, answer) = verdict(&world, &[("attack.sh", script)]).await;
        if verdict != "SUCCESS" || names(&answer).len() != 4 {
            wrong.push(format!("{what}: {answer}"));
        }
    }
    wrong.extend(closing(&world).await);
    assert!(wrong.is_empty(), "{sandbox}, {user:?}: {wrong:#?}\n{}", world.runner.log());
    world.assert_clean();
}

/// Nobody closes the plugin, for this task or the next. Nor is the runner made slow.
async fn closing(world: &World) -> Vec<String> {
    let mut wrong = Vec::new();
    let (closed, answer) = verdict(world, &[("mode", "before"), ("build.sh", CLOSES)]).await;
    if closed != "SUCCESS" {
        wrong.push(format!("closes the plugin: {answer}"));
    }
    let (next, answer) = verdict(world, &[]).await;
    if next != "SUCCESS" || world.runner.logged("environment_reopened") {
        wrong.push(format!("after the plugin was closed: {answer}"));
    }
    let (_, answer) = verdict(world, &[("attack.sh", RENICES)]).await;
    // As nice as whoever runs the tests.
    if nice(&world.runner.pid().to_string()) != nice("self") {
        wrong.push(format!("the runner's priority: {answer}"));
    }
    wrong
}

const RENICES: &str = "python3 -c 'import os; os.setpriority(os.PRIO_USER, 0, 7)'\n";

/// How a process gives way to others.
fn nice(process: &str) -> i64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
}

/// Only the suite's own interpreter keeps the socket to itself.
#[tokio::test]
async fn a_shell_is_given_no_socket() {
    if !have("python3", "python3 python3-venv") {
        return;
    }
    let (_folder, url) = suite();
    let command = "/bin/sh -c 'test -z \"$OSTEST_EVENTS\" && exec \"$@\"' sh {python} run_tests.py --src {src} --junit-xml {report}";
    let world = World::with(Settings::default(), &["--tests-url", &url, "--test-command", command]).await;
    let world = world.confined("auto", None);
    let (verdict, answer) = verdict(&world, &[]).await;
    assert_eq!((verdict.as_str(), names(&answer).len()), ("SUCCESS", 4), "{answer}");
}

at_each_level!(withstands);
