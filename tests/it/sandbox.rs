//! The sandbox as an operator meets it: what it says, what it refuses, and in what words it tells of a limit. What it
//! withstands is told by the attacks.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    Ran, Repository, SYSTEM_PATH, World, command, events_in, fault_in, have, lay_environment,
};

/// A folder with a student's program and a state in which an environment with pytest is made once.
pub struct Bench {
    folder: TempDir,
}

impl Bench {
    pub fn new() -> Option<Self> {
        let ready = have("python3", "python3 python3-venv");
        let bench = Self { folder: TempDir::new().unwrap() };
        // A task may have a user of its own, who passes through it.
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

    /// A pytest suite whose cases are lines of Python, beside more files.
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

    /// `runner run` on the student's program.
    pub fn run(&self, suite: &str, arguments: &[&str]) -> (Value, String) {
        let output = self.output(suite, arguments);
        let log = output.stderr.clone();
        let answer = serde_json::from_str(&output.stdout);
        (answer.unwrap(), log)
    }

    fn output(&self, suite: &str, arguments: &[&str]) -> Ran {
        let mut runner = command(self.folder.path());
        // An interpreter that every user can execute.
        runner.env("PATH", SYSTEM_PATH);
        runner
            .args(["run", "--json", "--logger-level", "info", "--log-format", "json", "--state-dir"])
            .arg(self.path("state"));
        runner.args(["--test-command", "{python} run_tests.py --src {src} --junit-xml {report} -k {tests}"]);
        runner.args(["--tests-url", suite]).args(arguments).arg(self.path("student"));
        Ran::of(&mut runner)
    }
}

const RUN: &str = include_str!("../measuring/run_tests.py");

/// The sandbox in force, as the log says.
pub fn chosen(log: &str) -> Value {
    events_in(log, "sandbox_chosen").pop().unwrap_or_else(|| panic!("no sandbox in {log}"))
}

/// Whether the sandbox in force has a feature, such as `disk=tmpfs`.
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

fn details(answer: &Value) -> &str {
    answer["errorDetails"].as_str().unwrap()
}

#[test]
fn limits_keep_finished_cases() {
    let Some(bench) = Bench::new() else { return };
    // The environment is made before the clock matters.
    bench.run(&bench.suite(&[("nothing", "pass")], &[]), &[]);
    let cases = [("first", "pass"), ("spins", "python('while True: pass')"), ("last", "pass")];
    let suite = bench.suite(&cases, &[]);
    let (answer, log) = bench.run(&suite, &["--timeout", "4"]);
    assert_eq!(fault_in(&log, |_| true), "execute/limit", "{answer}");
    assert!(details(&answer).contains("4 s") && details(&answer).contains("1 of 3"), "{log}");
    assert_eq!(answer["testResults"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(case(&answer, "first")["isPassed"], true);
    assert!(["spins", "last"].iter().all(|name| case(&answer, name)["isPassed"] == false), "{answer}");
    // The disk: what does not fit is refused, and the run goes on.
    let cases = [
        ("fills", "open(os.environ['SRC'] + '/big', 'wb').write(bytes(40 << 20))"),
        ("one_file", "python(\"open('f', 'wb').write(bytes(20 << 20))\")"),
        ("after", "pass"),
    ];
    let suite = bench.suite(&cases, &[]);
    let (answer, log) = bench.run(&suite, &["--disk", "32M", "--file-size", "16M"]);
    if has(&log, "disk=tmpfs") {
        assert_eq!(case(&answer, "fills")["isPassed"], false, "{answer}");
        assert_eq!(case(&answer, "one_file")["isPassed"], false, "{answer}");
        assert_eq!(case(&answer, "after")["isPassed"], true, "{answer}");
    }
}

/// A student's configuration, which would make a pass of everything.
const CHEAT: &str = "
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = 'passed'
";

#[test]
fn uses_suites_pytest_configuration_only() {
    let Some(bench) = Bench::new() else { return };
    // As a separate word: pytest then takes the student's folder for one of its arguments.
    let run = RUN.replace("'tests', ", "'tests', '--src', given['--src'], ");
    let conftest = "def pytest_addoption(parser):\n    parser.addoption('--src')\n";
    let files = [
        ("run_tests.py", run.as_str()),
        ("pytest.ini", "[pytest]\npython_files = check_*.py\n"),
        ("tests/__init__.py", ""),
        ("tests/conftest.py", conftest),
        ("tests/check_it.py", "def test_that_fails():\n    assert False\n"),
    ];
    let suite = bench.suite(&[("of_another_name", "pass")], &files);
    for (name, text) in [
        ("conftest.py", CHEAT),
        ("pytest.ini", "[pytest]\npython_files = test_*.py\n"),
        ("setup.cfg", "[tool:pytest]\npython_files = test_*.py\n"),
    ] {
        fs::write(bench.path("student").join(name), text).unwrap();
    }
    for level in ["none", "auto"] {
        let (answer, log) = bench.run(&suite, &["--sandbox", level]);
        assert_eq!(answer["testResults"].as_array().unwrap().len(), 1, "{answer}\n{log}");
        assert_eq!(case(&answer, "that_fails")["isPassed"], false, "{answer}\n{log}");
        assert_eq!(answer["isError"], false, "{answer}\n{log}");
    }
}

#[test]
fn limits_processor_time() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("first", "pass"), ("spins", "python('while True: pass')")], &[]);
    let (answer, log) = bench.run(&suite, &["--cpu-time", "1s", "--timeout", "30"]);
    assert_eq!(answer["isPassed"], false, "{answer}");
    if has(&log, "cpu=cgroup") {
        assert_eq!(fault_in(&log, |_| true), "execute/limit", "{answer}");
        assert!(details(&answer).contains(" 1 s ") && details(&answer).contains("1 of 2"), "{answer}\n{log}");
    }
}

#[test]
fn refuses_weaker_sandbox_than_required() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    let refused = bench.output(&suite, &["--sandbox", "none", "--sandbox-require", "basic"]);
    let error = &refused.stderr;
    assert_eq!(refused.code, Some(2), "{error}");
    assert!(error.contains("none") && error.contains("basic"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    // The daemon may be luckier at its next start, so that this is none of the codes after which there is none.
    let daemon = ["--sandbox", "none", "--sandbox-require", "basic"];
    let daemon = Ran::of(command(bench.folder.path()).args(daemon));
    let error = &daemon.stderr;
    assert!(daemon.code == Some(1) && error.lines().count() == 1, "{error}");
    assert!(error.contains("none") && error.contains("basic"), "{error}");
    let (answer, log) = bench.run(&suite, &["--sandbox", "basic"]);
    assert_eq!(answer["isPassed"], true, "{answer}\n{log}");
    for feature in ["pidns=no", "seccomp=yes", "inet=denied", "disk=watched"] {
        assert!(has(&log, feature), "{feature}: {log}");
    }
    assert_eq!(chosen(&log)["field.level"], "basic");
    let about = last_kept(&bench.path("state/kept")).join("about.json");
    let about: Value = serde_json::from_slice(&fs::read(about).unwrap()).unwrap();
    assert_eq!(about["sandbox"], "basic");
    assert_eq!(about["enforced"], chosen(&log)["enforced"]);
    assert_eq!(about["told_by_the_plugin"], true);
}

#[test]
fn root_needs_separate_user_per_task() {
    let Some(bench) = Bench::new() else { return };
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    fs::set_permissions(bench.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let refused = bench.output(&suite, &["--sandbox", "basic"]);
    let error = &refused.stderr;
    assert!(refused.code != Some(0) && error.contains("--state-dir"), "{error}");
    // However little a task may have: what it has is confined.
    let starved = bench.output(&suite, &["--sandbox", "auto", "--memory", "1M", "--disk", "1M"]);
    let log = &starved.stderr;
    assert_eq!(chosen(log)["field.level"], "bwrap");
}

#[test]
fn refuses_unsafe_readable_folders() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    let above = bench.folder.path().display().to_string();
    for readable in ["/", "/tmp", "relative", &above] {
        let refused = bench.output(&suite, &["--sandbox-readable", readable]);
        let error = &refused.stderr;
        assert_eq!((refused.code, error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(&format!("--sandbox-readable {readable}: ")), "{error}");
    }
}

#[test]
fn chooses_tests_by_table_names() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("one", "pass"), ("two", "pass"), ("three", "pass")], &[]);
    for chosen in ["test_it::test_one,test_three", "tests/test_it.py::test_one,test_it::test_three"] {
        let (answer, log) = bench.run(&suite, &["--tests", chosen]);
        let names: Vec<_> = answer["testResults"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["test_it::test_one", "test_it::test_three"], "{log}");
    }
}

#[test]
fn accepts_memory_folder_but_no_colon() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("nothing", "pass")], &[]);
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let taken = bench.output(&suite, &["--sandbox", "auto", "--work-dir", memory.path().to_str().unwrap()]);
    assert!(taken.code == Some(0), "{}", &taken.stderr);
    let colon = bench.path("one:two").display().to_string();
    let refused = bench.output(&suite, &["--sandbox", "auto", "--work-dir", &colon]);
    let error = &refused.stderr;
    assert_eq!((refused.code, error.lines().count()), (Some(2), 1), "{error}");
    assert!(error.contains(&format!("--work-dir {colon}: ")), "{error}");
}

#[tokio::test]
async fn confined_checkout_uses_git_configuration_variables() {
    let mut world = World::with(mock_backend::Settings::default(), &[]).await.confined("auto", None);
    let here = format!("url.file://{}/.insteadOf", world.folder().display());
    world.restart_with(&[
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", &here),
        ("GIT_CONFIG_VALUE_0", "https://example.invalid/"),
    ]);
    let folder = world.fresh("student");
    crate::support::student(&folder, "echo \"$PASS\" >\"$REPORT\"");
    let url = format!("https://example.invalid/{}", folder.file_name().unwrap().display());
    let answer = world.answer(&world.backend.submit(mock_backend::NewTask::new(&url, "main"))).await;
    assert_eq!(answer["isPassed"], true, "{answer}\n{}", world.runner.log());
}

pub fn last_kept(kept: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> = fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.pop().unwrap()
}

/// A package that, as it is built for the suite's environment, tries what a package has no business with.
const SPY: &str = "
import os, zipfile

def build_wheel(folder, config=None, metadata=None):
    found = []
    for path in TARGETS:
        try:
            if os.path.isdir(path):
                found += ['saw %s in %s' % (name, path) for name in os.listdir(path)]
            else:
                found += ['read ' + open(path).read()] if open(path).read() else []
        except OSError:
            pass
        try:
            open(path + '/planted' if os.path.isdir(path) else path + '.planted', 'w').close()
            if 'spool' not in path:
                found.append('wrote beside ' + path)
        except OSError:
            pass
    with zipfile.ZipFile(os.path.join(folder, 'spy-1-py3-none-any.whl'), 'w') as wheel:
        wheel.writestr('spy.py', 'found = %r' % found)
        wheel.writestr('spy-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: spy\\nVersion: 1\\n')
        wheel.writestr('spy-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr('spy-1.dist-info/RECORD', '')
    return 'spy-1-py3-none-any.whl'
";

#[test]
fn suite_package_cannot_see_spool_or_password() {
    let Some(bench) = Bench::new() else { return };
    let (spool, password) = (bench.path("state/spool"), bench.path("password"));
    fs::create_dir_all(spool.join("claimed")).unwrap();
    fs::write(&password, "secret").unwrap();
    let targets = format!("TARGETS = {:?}\n", [&spool, &password].map(|path| path.display().to_string()));
    let spy = format!("{targets}{SPY}");
    let project = "[build-system]\nrequires = []\nbuild-backend = 'spy_backend'\nbackend-path = ['.']\n\
         [project]\nname = 'spy'\nversion = '1'\n";
    let files = [
        ("requirements.txt", "pytest\n./spy\n"),
        ("spy/pyproject.toml", project),
        ("spy/spy_backend.py", &spy),
    ];
    let suite = bench.suite(&[("spy", "import spy\nassert spy.found == []")], &files);
    let file = password.display().to_string();
    // The environment, in which the spy is built, is made anew for each.
    let run = |level: &str| {
        for made in fs::read_dir(bench.path("state")).unwrap().flatten().map(|entry| entry.path()) {
            if made != spool {
                fs::remove_dir_all(&made).or_else(|_| fs::remove_file(&made)).unwrap();
            }
        }
        bench.run(&suite, &["--sandbox", level, "--password-file", &file])
    };
    for level in ["auto", "basic"] {
        let (answer, log) = run(level);
        assert_eq!(answer["isPassed"], true, "{level}: {answer}\n{log}");
    }
    let (answer, log) = run("none");
    assert_eq!(answer["isPassed"], false, "without a sandbox the spy must see: {answer}\n{log}");
}

/// A plain user.
const USER: u32 = 65_531;

#[tokio::test]
async fn folder_sweep_rarely_opens_closed_folders() {
    let world = World::with(mock_backend::Settings::default(), &[]).await.confined("basic", Some(USER));
    // To open it changes its ctime; to close it again once more.
    let script = "python3 - <<'END' && echo \"$PASS\" >\"$REPORT\"
import os, sys, time
os.mkdir('closed', 0)
seen, end = set(), time.monotonic() + 3
while time.monotonic() < end:
    seen.add(os.stat('closed').st_ctime_ns)
    time.sleep(0.002)
os.rmdir('closed')
sys.exit(f'opened {len(seen) - 1} times' if len(seen) > 9 else 0)
END";
    let answer = world.answer(&world.submit(script)).await;
    assert_eq!(answer["isPassed"], true, "{answer}\n{}", world.runner.log());
    world.assert_clean();
}

/// Ended with the test.
struct Bystander(std::process::Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn task_user_is_never_a_real_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("\n!!! SKIPPED: a task has a user of its own where the runner is root\n");
        return;
    }
    // `nobody`, on every machine.
    #[expect(clippy::disallowed_methods, reason = "a stranger on the machine")]
    let mut sleep = std::process::Command::new("sleep");
    let mut bystander = Bystander(sleep.arg("300").uid(65_534).gid(65_534).spawn().unwrap());
    let world = World::with(mock_backend::Settings::default(), &["--sandbox-uid", "65534"]).await;
    let world = world.confined("basic", None);
    let script = r#"printf '<testsuite><testcase name="a"><failure message="user %s"/></testcase></testsuite>' "$(id -u)" > "$REPORT"; exit 1"#;
    let answer = world.answer(&world.submit(script)).await;
    let user = answer["testResults"][0]["description"].as_str().unwrap();
    assert!(user.contains("user 65535"), "{answer}");
    assert!(bystander.0.try_wait().unwrap().is_none(), "the task's end was a stranger's too");
}
