//! Tests of the isolation of tasks, checkouts and the suite's packages from the rest of the machine.

use std::fs;
use std::os::unix::process::CommandExt;

use super::bench::Bench;
use crate::support::World;

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

/// A package that tries to read and write the targets while it is built for the suite's environment.
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
    // Remove the environment, so each level builds the package again.
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
    assert_eq!(
        answer["isPassed"], false,
        "the package does not detect that there is no sandbox: {answer}\n{log}"
    );
}

/// A user without privileges.
const USER: u32 = 65_531;

#[tokio::test]
async fn folder_sweep_rarely_opens_closed_folders() {
    let world = World::with(mock_backend::Settings::default(), &[]).await.confined("basic", Some(USER));
    // Each change of the folder's mode changes its ctime: once to open it, once to close it.
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

/// A process that is killed at the end of the test.
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
        eprintln!("\n!!! SKIPPED: tasks have separate users only if the runner is root\n");
        return;
    }
    // 65534 is `nobody` on every machine.
    #[expect(clippy::disallowed_methods, reason = "the test needs a process of another user")]
    let mut sleep = std::process::Command::new("sleep");
    let mut bystander = Bystander(sleep.arg("300").uid(65_534).gid(65_534).spawn().unwrap());
    let world = World::with(mock_backend::Settings::default(), &["--sandbox-uid", "65534"]).await;
    let world = world.confined("basic", None);
    let script = r#"printf '<testsuite><testcase name="a"><failure message="user %s"/></testcase></testsuite>' "$(id -u)" > "$REPORT"; exit 1"#;
    let answer = world.answer(&world.submit(script)).await;
    let user = answer["testResults"][0]["description"].as_str().unwrap();
    assert!(user.contains("user 65535"), "{answer}");
    assert!(bystander.0.try_wait().unwrap().is_none(), "the end of the task killed another user's process");
}
