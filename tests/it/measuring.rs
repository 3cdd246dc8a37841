//! Tests of the memory that the runner measures for each case.

use crate::sandbox::{Bench, case, memory, text};

/// The suite of `tests/measuring/`. `tests/vm/` runs it with control groups of version 2.
const SUITE: &[(&str, &str)] = &[
    ("requirements.txt", include_str!("../measuring/requirements.txt")),
    ("run_tests.py", include_str!("../measuring/run_tests.py")),
    ("tests/conftest.py", include_str!("../measuring/tests/conftest.py")),
    ("tests/test_it.py", include_str!("../measuring/tests/test_it.py")),
];

#[test]
fn measures_memory_of_each_case() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[], SUITE);
    for level in ["none", "basic", "auto"] {
        let (answer, log) = bench.run(&suite, &["--sandbox", level]);
        assert_eq!(answer["isPassed"], true, "{level}: {answer}\n{log}");
        // The range includes a child interpreter. Memory that the suite held before the case does not count.
        for (name, minimum, maximum) in [
            ("ten", 8, 40),
            ("hundred", 90, 130),
            ("three", 80, 150),
            ("one", 0, 30),
            ("begins", 0, 40),
            ("next", 90, 150),
            ("last", 25, 60),
        ] {
            let used = memory(&answer, name);
            assert!((minimum..=maximum).contains(&used), "{level}: {name} used {used} MB\n{answer}\n{log}");
        }
    }
}

#[test]
fn memory_limit_ends_one_case() {
    let Some(bench) = Bench::new() else { return };
    let taken = "python('x = bytearray(600 << 20); import time; time.sleep(1)')";
    let suite = bench.suite(&[("too_much", taken), ("after", "pass")], &[]);
    for level in ["none", "auto"] {
        let (answer, log) = bench.run(&suite, &["--memory", "256M", "--sandbox", level]);
        let killed = level == "auto";
        assert_eq!(case(&answer, "too_much")["isPassed"], !killed, "{level}: {answer}\n{log}");
        assert!(!killed || text(&answer, "too_much").contains("256 MB"));
        assert_eq!(case(&answer, "after")["isPassed"], true, "the memory limit ended the whole suite");
        assert_eq!(answer["isError"], false, "{answer}");
    }
}
