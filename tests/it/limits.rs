//! Tests of a task's limits: the defaults, and their effect on a program.

use serde_json::Value;

use crate::sandbox::{Bench, has, memory, text};
use crate::support::{World, command, have};

#[test]
fn default_limits_suit_course_labs() {
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path()).args(["config", "show"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    for wanted in [
        r#"memory = "512M""#,
        "cpus = 1",
        r#"cpu_time = "none""#,
        "pids = 128",
        r#"disk = "512M""#,
        r#"file_size = "64M""#,
        "nofile = 256",
        r#"network = "none""#,
    ] {
        let is = |line: &str| line.split_once('#').is_some_and(|(setting, _)| setting.trim_end() == wanted);
        assert!(shown.lines().any(is), "{wanted}\n{shown}");
    }
}

/// A case whose failure text has the limits of a program: open files, file size, address space.
const LIMITS: &str = "code = 'import resource as r; \
     print(*(r.getrlimit(of) for of in (r.RLIMIT_NOFILE, r.RLIMIT_FSIZE, r.RLIMIT_AS)))'\n\
     limits = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)\n\
     assert False, 'limits: ' + limits.stdout";

#[test]
fn program_has_file_limits_but_no_address_limit() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("limits", LIMITS)], &[]);
    for level in ["basic", "auto"] {
        for (arguments, wanted) in [
            (&[][..], "limits: (256, 256) (67108864, 67108864) (-1, -1)"),
            (&["--nofile", "100", "--file-size", "16M"], "limits: (100, 100) (16777216, 16777216) (-1, -1)"),
        ] {
            let (answer, log) = bench.run(&suite, &[&["--sandbox", level], arguments].concat());
            assert!(text(&answer, "limits").contains(wanted), "{level}: {wanted}\n{answer}\n{log}");
        }
    }
}

/// A case whose failure text has the largest share of a processor that two busy programs got together. It takes the best
/// of several rounds, because other programs run on this machine.
const SHARE: &str = "code = 'import time; end = time.monotonic() + 1.5\\nwhile time.monotonic() < end: pass'
def used():
    now = os.times()
    return now.children_user + now.children_system, now.elapsed
best = 0
for _ in range(ROUNDS):
    (cpu, wall), both = used(), [subprocess.Popen([sys.executable, '-c', code]) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    best = max(best, (used()[0] - cpu) / (used()[1] - wall))
    if best > 0.85:
        break
assert False, 'percent: %d.' % (100 * best)";

/// The number after `percent:` in the text of a case.
fn percent(answer: &Value) -> u32 {
    let message = text(answer, "share");
    let number = message.split("percent: ").find_map(|rest| rest.split_once('.')?.0.parse().ok());
    number.unwrap_or_else(|| panic!("no share in {answer}"))
}

#[test]
fn limits_share_of_processor() {
    let Some(bench) = Bench::new() else { return };
    let suite_of_rounds = |rounds: &str| bench.suite(&[("share", &SHARE.replace("ROUNDS", rounds))], &[]);
    let (answer, log) = bench.run(&suite_of_rounds("2"), &["--cpus", "0.1"]);
    if !has(&log, "cpu=cgroup") {
        eprintln!("\n!!! SKIPPED: limits of processor shares need control groups\n");
        return;
    }
    let limited = percent(&answer);
    assert!(limited <= 20, "{limited} %\n{answer}\n{log}");
    let (answer, log) = bench.run(&suite_of_rounds("20"), &["--cpus", "none"]);
    let unlimited = percent(&answer);
    // More than the limit allows is enough: other programs use the machine too.
    assert!(unlimited > 20, "{unlimited} %\n{answer}\n{log}");
}

#[test]
fn memory_disk_counts_as_memory() {
    let Some(bench) = Bench::new() else { return };
    // A child process writes the file: its own memory is free when the case ends.
    let write = |megabytes: u32| {
        format!(
            "python(\"import os; open(os.environ['SRC'] + '/big', 'wb').write(bytes({megabytes} << 20))\")"
        )
    };
    let suite = bench.suite(&[("little", &write(1)), ("much", &write(30))], &[]);
    let (answer, log) = bench.run(&suite, &[]);
    assert_eq!(answer["isPassed"], true, "{answer}\n{log}");
    if !(has(&log, "disk=tmpfs") && has(&log, "memory=cgroup")) {
        eprintln!("\n!!! SKIPPED: only control groups count files in memory\n");
        return;
    }
    let (little, much) = (memory(&answer, "little"), memory(&answer, "much"));
    assert!(much >= 25 && much >= little + 25, "{little} MB, {much} MB\n{answer}\n{log}");
}

/// A user without privileges.
const USER: u32 = 65_529;

/// Builds a correct program and one that writes out of bounds, both with AddressSanitizer.
const SANITIZED: &str = r#"
cat >a.c <<'END'
#include <stdlib.h>
int main(int count, char **all) { char *p = malloc(8); p[count < 2 ? 7 : 8] = 1; int x = p[0] & 0; free(p); return x; }
END
fail() { printf '<testsuite><testcase name="a"><failure message="%s"/></testcase></testsuite>' "$1" >"$REPORT"; exit 1; }
gcc -g -fsanitize=address -o a a.c 2>errors || fail "the programs do not build:  $(tr '<>&"' ' ' <errors)"
./a 2>errors || fail "the correct program ends with $?:  $(tr '<>&"' ' ' <errors)"
./a wrong 2>errors && fail "the wrong program ends without an error"
grep -q 'AddressSanitizer: heap-buffer-overflow' errors || fail "the sanitizer reports another error:  $(tr '<>&"' ' ' <errors)"
printf %s "$PASS" >"$REPORT"
"#;

#[tokio::test]
async fn address_sanitizer_works_under_limits() {
    if !have("/usr/bin/gcc", "gcc") || !has_sanitizer() {
        return;
    }
    let root = nix::unistd::geteuid().is_root();
    for (level, user) in [("auto", None), ("basic", None), ("auto", Some(USER)), ("basic", Some(USER))] {
        if user.is_some() && !root {
            continue;
        }
        let world = World::with(mock_backend::Settings::default(), &[]).await.confined(level, user);
        let answer = world.answer(&world.submit(SANITIZED)).await;
        assert_eq!(answer["isPassed"], true, "{level} {user:?}: {answer}\n{}", world.runner.log());
    }
}

/// Whether gcc has libasan. Without it the test is skipped with a message; in CI it fails.
#[expect(clippy::disallowed_methods, reason = "the test runs the compiler")]
fn has_sanitizer() -> bool {
    let output = std::process::Command::new("gcc").arg("-print-file-name=libasan.so").output().unwrap();
    // gcc prints a name without a folder if it has not found the library.
    let found = String::from_utf8_lossy(&output.stdout).contains('/');
    if !found {
        assert!(std::env::var_os("RUNNER_TEST_NO_SKIP").is_none(), "gcc has no libasan");
        eprintln!("\n!!! SKIPPED: gcc has no libasan (apt-get install libasan8)\n");
    }
    found
}
