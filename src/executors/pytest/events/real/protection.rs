//! A program under test can neither reach the socket nor change what the suite imports.

use super::support::Suite;

const CHILDREN: &str = r#"
import os, subprocess, sys

def listing(**options):
    script = "import os; print([os.readlink('/proc/self/fd/' + fd) for fd in os.listdir('/proc/self/fd') if os.path.islink('/proc/self/fd/' + fd)])"
    return subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, **options).stdout.decode()

def test_no_child_has_the_socket():
    assert any("socket:" in os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if fd == "9")
    assert "socket:" not in listing(close_fds=False)
    assert "/dev/" in listing(close_fds=False)

def test_no_child_has_the_environment():
    assert not {"OSTEST_EVENTS", "OSTEST_SUITE", "OSTEST_WRITABLE"} & set(os.environ)
    assert "PYTHONPATH" not in os.environ
    assert os.environ["PYTEST_ADDOPTS"].startswith("--rootdir=")
    ran = subprocess.run([sys.executable, "-m", "pytest", "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert ran.returncode == 0 and b"ostest" not in ran.stdout

def test_a_fork_is_silent():
    if os.fork() == 0:
        try:
            os.fstat(9)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.wait()[1] == 0

def test_nobody_reads_the_memory():
    assert os.stat("/proc/self/mem").st_uid == 0
    import ctypes
    assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
"#;

#[test]
fn children_get_neither_socket_nor_environment() {
    let suite = Suite::new(&[("test_children.py", CHILDREN)]);
    let Some(session) = suite.run(&[], |_, _| {}) else { return };
    session.assert_all_passed(4);
}

const GUARDED: &[(&str, &str)] = &[
    ("conftest.py", "import early\n"),
    ("early.py", "VALUE = 1\n"),
    ("lazy/__init__.py", ""),
    ("lazy/inner.py", "VALUE = 'suite'\n"),
    ("plain.py", "VALUE = 'suite'\n"),
    ("helper.py", "VALUE = 'suite'\n"),
    ("rewritten.py", "VALUE = 'suite'\n"),
    ("changed.py", "VALUE = 'suite'\n"),
    ("spaces/inside.py", "VALUE = 'suite'\n"),
    ("link.py", "VALUE = 'suite'\n"),
    ("test_a_guard.py", include_str!("sample/test_guard.py")),
    ("sub/__init__.py", ""),
    ("sub/conftest.py", "import pytest\n@pytest.fixture\ndef given():\n    return 3\n"),
    ("sub/test_sub.py", "def test_fixture_of_a_folder(given):\n    assert given == 3\n"),
];

#[test]
fn foreign_files_are_not_imported() {
    for mode in ["prepend", "append", "importlib"] {
        let suite = Suite::new(GUARDED);
        let mode = format!("--import-mode={mode}");
        let Some(session) = suite.run(&[&mode, "-rA"], |_, _| {}) else { return };
        session.assert_all_passed(12);
        assert!(!suite.at("__pycache__/early.pyc").exists());
    }
}
