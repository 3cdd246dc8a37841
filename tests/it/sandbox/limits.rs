//! Tests of the limits of time, processor time and disk. The answer keeps the cases that ended before a limit.

use super::bench::{Bench, case, details, has};
use crate::support::fault_in;

#[test]
fn limits_keep_finished_cases() {
    let Some(bench) = Bench::new() else { return };
    // Prepare the environment before the test with the short timeout.
    bench.run(&bench.suite(&[("nothing", "pass")], &[]), &[]);
    let cases = [("first", "pass"), ("spins", "python('while True: pass')"), ("last", "pass")];
    let suite = bench.suite(&cases, &[]);
    let (answer, log) = bench.run(&suite, &["--timeout", "4"]);
    assert_eq!(fault_in(&log, |_| true), "execute/limit", "{answer}");
    assert!(details(&answer).contains("4 s") && details(&answer).contains("1 of 3"), "{log}");
    assert_eq!(answer["testResults"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(case(&answer, "first")["isPassed"], true);
    assert!(["spins", "last"].iter().all(|name| case(&answer, name)["isPassed"] == false), "{answer}");
    // Writes beyond the disk limit fail, and the suite continues.
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
