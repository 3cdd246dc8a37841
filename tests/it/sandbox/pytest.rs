//! Tests of pytest in the sandbox: it reads the suite's configuration only, and runs the requested tests.

use std::fs;

use super::bench::{Bench, RUN, case};

/// A student's conftest.py that would turn every outcome into a pass.
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
    // As a separate argument, because pytest then treats the student's folder as one of its arguments.
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
fn chooses_tests_by_table_names() {
    let Some(bench) = Bench::new() else { return };
    let suite = bench.suite(&[("one", "pass"), ("two", "pass"), ("three", "pass")], &[]);
    for chosen in ["test_it::test_one,test_three", "tests/test_it.py::test_one,test_it::test_three"] {
        let (answer, log) = bench.run(&suite, &["--tests", chosen]);
        let names: Vec<_> = answer["testResults"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["test_it::test_one", "test_it::test_three"], "{log}");
    }
}
