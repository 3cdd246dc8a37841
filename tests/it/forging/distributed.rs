//! Suites with pytest-xdist, whose workers run the cases beside each other: the controller tells what came of them, and
//! the report file decides nothing.

use super::forked::{self, suite, world};
use super::{forgery_warnings, have, names, verdict};
use crate::sandbox::{case, memory, text};

const REQUIREMENTS: &str = "pytest<9\npytest-xdist\npytest-forked\n";

const RUN: &str = r#"
import os, subprocess, sys
import pytest
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
os.environ["SRC"] = given["--src"]
what = open(given["--src"] + "/mode").read().split()
again = what[-1] == "again" and what.pop()
if what[-1] == "seen":
    what.pop()
    import ostest_workers
    # As in an interpreter that has none.
    ostest_workers.path_of_loader = lambda: None
if os.path.exists(given["--src"] + "/before.sh"):
    subprocess.run(["sh", "before.sh"], cwd=given["--src"])
if again:
    pytest.main(["cases", "-n", "1", "-q", "-k", "test_number and not 13"])
sys.exit(1 if pytest.main(what + ["-q", "--junit-xml=" + given["--junit-xml"]]) else 0)
"#;

const EXAM: &str = r#"
import os, subprocess

def test_exam():
    ran = subprocess.run(["sh", "exam.sh"], cwd=os.environ["SRC"], stdout=subprocess.PIPE)
    assert ran.stdout == b"42\n"
"#;

const CASES: &str = r#"
import pytest

@pytest.mark.parametrize("number", range(20))
def test_number(number):
    assert number != 13

def test_is_skipped():
    pytest.skip("not today")

@pytest.mark.xfail(reason="known")
def test_fails_as_expected():
    assert False

@pytest.fixture
def broken():
    yield
    raise ValueError("broken")

def test_teardown(broken):
    pass
"#;

const CRASHES: &str = r"
import os

def test_one():
    pass

def test_two():
    os._exit(3)

def test_three():
    pass
";

/// Answers wrongly, and leaves a program that puts another report in the place of each.
const FORGES: &str = "
setsid python3 forge.py </dev/null >/dev/null 2>&1 &
sleep 0.3
echo 41
";

const FORGE: &str = r#"
import os, time
text = '<testsuites><testsuite name="pytest" errors="0" failures="0" skipped="0" tests="1" time="0.4">'
text += '<testcase classname="exam.test_exam" name="test_exam" time="0.1"/></testsuite></testsuites>'
end = time.time() + 20
while time.time() < end:
    for name in os.listdir("../../out") if os.path.isdir("../../out") else []:
        path = "../../out/" + name
        try:
            held = open(path).read()
            if held.endswith("</testsuites>") and held != text:
                open(path + ".n", "w").write(text)
                os.rename(path + ".n", path)
        except OSError:
            pass
"#;

/// Beside the suite's own files, where only workers look.
const DROPS: &str = r#"
mkdir -p ../../suite/exam/__pycache__
cat > ../../suite/exam/conftest.py <<END
import subprocess

class Right:
    stdout = b"42\n"

subprocess.run = lambda *args, **named: Right
END
"#;

/// Leaves a program that waits for workers, and tries to look into each from its first moment.
const WAITS: &str = "
setsid python3 meet.py </dev/null >/dev/null 2>&1 &
while [ ! -e waits ]; do sleep 0.05; done
";

const MEET: &str = r#"
import ctypes, os, time

PTRACE_SEIZE = 0x4206
libc = ctypes.CDLL(None)

def cmdline(pid):
    with open("/proc/%s/cmdline" % pid, "rb") as file:
        return file.read()

def parent(pid):
    with open("/proc/%s/stat" % pid) as file:
        return file.read().rpartition(") ")[2].split()[1]

def is_worker(pid):
    # And not what one has forked, which is about to be a program under test.
    return b"exec(eval(sys.stdin.readline()))" in cmdline(pid) and b"run_tests.py" in cmdline(parent(pid))

def meet(pid):
    for name, flags in ("fd/1", os.O_WRONLY), ("fd/0", os.O_RDONLY), ("mem", os.O_RDONLY), ("environ", os.O_RDONLY):
        try:
            os.close(os.open("/proc/%s/%s" % (pid, name), flags))
            return name
        except OSError:
            pass
    return "ptrace" if libc.ptrace(PTRACE_SEIZE, int(pid), 0, 0) == 0 else None

open("waits", "w").close()
end, seen = time.time() + 60, set()
while time.time() < end:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.exists("kills") and b"print(ascii(" in cmdline(pid):
                os.kill(int(pid), int(open("kills").read()))
            if is_worker(pid):
                if pid not in seen:
                    seen.add(pid)
                    open("seen", "a").write("%s\n" % pid)
                met = meet(pid)
                if met:
                    open("met", "a").write(met + "\n")
        except OSError:
            pass
"#;

/// Is right if, and only if, a worker was met.
const TELLS_WHETHER_MET: &str = "
sleep 1
[ $(wc -l < seen) -ge 2 ] || { echo no worker was seen; exit; }
[ -e met ] && echo 42 || echo not met
";

fn files() -> [(&'static str, &'static str); 4] {
    [
        ("run_tests.py", RUN),
        ("exam/test_exam.py", EXAM),
        ("cases/test_cases.py", CASES),
        ("crashes/test_crashes.py", CRASHES),
    ]
}

#[tokio::test]
async fn records_results_of_workers() {
    if !have("python3", "python3 python3-venv") {
        return;
    }
    let (_folder, url) = suite(REQUIREMENTS, &files());
    let world = world(&url, "auto", None).await;

    let (failed, answer) = verdict(&world, &[("mode", "cases -n 2")]).await;
    assert_eq!((failed.as_str(), names(&answer).len()), ("ERROR", 23), "{answer:#}");
    for (name, passed) in
        [("number[0]", true), ("number[13]", false), ("fails_as_expected", false), ("teardown", false)]
    {
        assert_eq!(case(&answer, name)["isPassed"], passed, "{name}: {answer:#}");
    }
    assert!(text(&answer, "number[13]").contains("assert 13 != 13"), "{answer:#}");
    assert!(text(&answer, "is_skipped").contains("not today"), "{answer:#}");
    assert_eq!(memory(&answer, "number[0]"), 0, "{answer:#}");
    // The report says the same, of all of them: the only doubt is their memory.
    let warnings = || world.runner.events("report_warning");
    assert_eq!(warnings().len(), 1, "{:#?}", warnings());
    assert_eq!(warnings()[0]["kind"], "doubt");
    assert!(warnings()[0]["warning"].as_str().unwrap().contains("memoryUsed"), "{:#?}", warnings());

    let (crashed, answer) = verdict(&world, &[("mode", "crashes -n 1")]).await;
    assert_eq!((crashed.as_str(), names(&answer).len()), ("ERROR", 3), "{answer:#}");
    assert_eq!(case(&answer, "one")["isPassed"], true, "{answer:#}");
    assert!(text(&answer, "two").contains("crashed while running"), "{answer:#}");
    assert_eq!(case(&answer, "three")["isPassed"], true, "{answer:#}");

    // Where none of them can be hidden from the first moment, it is said, and what runs in a late one counts for nothing.
    let (crashed, answer) = verdict(&world, &[("mode", "crashes -n 1 seen")]).await;
    assert_eq!((crashed.as_str(), names(&answer).len()), ("ERROR", 3), "{answer:#}");
    assert!(text(&answer, "three").contains("started while a program under test ran"), "{answer:#}");
    assert!(!forgery_warnings(&world, "pytest-xdist").is_empty(), "{:#?}", warnings());
    world.assert_clean();
}

async fn withstands(sandbox: &str, user: Option<u32>) {
    if !have("python3", "python3 python3-venv") || sandbox == "bwrap" && !have("bwrap", "bubblewrap") {
        return;
    }
    let (_folder, url) = suite(REQUIREMENTS, &files());
    let world = world(&url, sandbox, user).await;
    let mode = ("mode", "exam -n 2");
    let (honest, answer) = verdict(&world, &[mode]).await;
    assert_eq!((honest.as_str(), names(&answer).len()), ("SUCCESS", 1), "{answer}\n{}", world.runner.log());
    let (forged, answer) = verdict(&world, &[mode, ("exam.sh", FORGES), ("forge.py", FORGE)]).await;
    assert_eq!((forged.as_str(), names(&answer).len()), ("FAILURE", 1), "{answer}\n{}", world.runner.log());
    assert!(text(&answer, "exam").contains("41"), "{answer}");

    // What was laid beside the suite before pytest began is not the workers' to load; the controller looks no deeper than it must.
    let below = ("mode", ". -n 2 -k test_exam");
    let (honest, answer) = verdict(&world, &[below, ("before.sh", ":\n")]).await;
    assert_eq!((honest.as_str(), names(&answer).len()), ("SUCCESS", 1), "{answer}\n{}", world.runner.log());
    let (dropped, answer) = verdict(&world, &[below, ("before.sh", DROPS), ("exam.sh", "echo 41\n")]).await;
    assert_ne!(dropped, "SUCCESS", "{answer}\n{}", world.runner.log());

    // What waits for a worker does not meet it, in the second session of the interpreter neither.
    let waits = [("before.sh", WAITS), ("meet.py", MEET), ("exam.sh", TELLS_WHETHER_MET)];
    for sessions in ["exam -n 2", "exam -n 2 again"] {
        let (met, answer) = verdict(&world, &[&[("mode", sessions)][..], &waits].concat()).await;
        assert_eq!(met, "FAILURE", "{answer}\n{}", world.runner.log());
        assert!(text(&answer, "exam").contains("not met"), "{answer}");
    }
    assert!(forgery_warnings(&world, "pytest-xdist").is_empty(), "{}", world.runner.log());

    // Whoever keeps workers from being hidden has met them, but is not believed.
    for signal in ["9", "2"] {
        let kills = [&[("mode", "exam -n 2"), ("kills", signal)][..], &waits].concat();
        let (met, answer) = verdict(&world, &kills).await;
        // One that was too slow to strike has met nobody.
        let says = if met == "ERROR" { "started while a program under test ran" } else { "not met" };
        assert_ne!(met, "SUCCESS", "{answer}\n{}", world.runner.log());
        assert!(text(&answer, "exam").contains(says), "{answer}");
    }

    // Forks of the workers tell them in a way that is out of reach as well.
    let mode = ("mode", "exam -n 2 --forked");
    let (honest, answer) = verdict(&world, &[mode]).await;
    assert_eq!((honest.as_str(), names(&answer).len()), ("SUCCESS", 1), "{answer}\n{}", world.runner.log());
    let forge = forked::FORGE.replace("tests/test_exam", "exam/test_exam");
    let (forged, answer) = verdict(&world, &[mode, ("exam.sh", forked::FORGES), ("forge.py", &forge)]).await;
    assert_eq!((forged.as_str(), names(&answer).len()), ("FAILURE", 1), "{answer}\n{}", world.runner.log());
    assert!(forgery_warnings(&world, "pytest-forked").is_empty(), "{}", world.runner.log());
    world.assert_clean();
}

at_each_level!(withstands);
