"""The first test writes files as a program under test can; the other tests then try to import these files."""

import importlib
import importlib.util
import os
import pathlib
import py_compile
import sys
import textwrap

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
STUDENT = os.path.join(os.path.dirname(HERE), "student")
EVIL = "VALUE = 'student'\n"


def write(*path, content=EVIL):
    path = os.path.join(*path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(content)
    return path


def plant_bytecode(source):
    """Writes bytecode of another source that has the time and size of `source`."""
    evil = write(STUDENT, "evil.py", content="VALUE = 'evil!'\n")
    found = os.stat(source)
    os.utime(evil, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert os.stat(evil).st_size == found.st_size
    py_compile.compile(evil, cfile=importlib.util.cache_from_source(source), dfile=source, doraise=True)


def test_1_the_student_writes_everywhere():
    write(HERE, "decimal.py")
    write(HERE, "json", "tool.py")
    write(HERE, "colorsys", "__init__.py")
    write(HERE, "lazy", "more.py")
    write(HERE, "dropped.py")
    write(HERE, "space", "inside.py")
    write(HERE, "spaces", "other.py")
    write(HERE, "helper", "__init__.py")
    write(STUDENT, "own.py")
    py_compile.compile(write(STUDENT, "bare.py"), cfile=os.path.join(HERE, "bare.pyc"), doraise=True)
    plant_bytecode(os.path.join(HERE, "plain.py"))
    plant_bytecode(os.path.join(HERE, "lazy", "inner.py"))
    found = os.stat(os.path.join(HERE, "changed.py"))
    write(HERE, "changed.py", content="VALUE = 'evil!'\n")
    os.utime(os.path.join(HERE, "changed.py"), ns=(found.st_atime_ns, found.st_mtime_ns))
    os.remove(os.path.join(HERE, "link.py"))
    os.symlink(os.path.join(STUDENT, "own.py"), os.path.join(HERE, "link.py"))
    os.symlink(STUDENT, os.path.join(HERE, "linked"))


def test_the_library_stays_the_library():
    import colorsys
    import decimal
    import json.tool

    assert HERE not in decimal.__file__ + colorsys.__file__ + json.tool.__file__
    assert decimal.Decimal(1) + 1 == 2


@pytest.mark.parametrize("name", ["plain", "lazy.inner", "helper", "spaces.inside"])
def test_the_suites_own_is_imported_from_its_source(name):
    assert importlib.import_module(name).VALUE == "suite"


def test_what_was_put_there_is_not_found():
    sys.path.insert(1, STUDENT)
    for name in ("dropped", "lazy.more", "space.inside", "spaces.other", "own", "bare", "changed", "link", "linked.own"):
        with pytest.raises(ImportError):
            importlib.import_module(name)
    sys.path.remove(STUDENT)


def test_nor_is_it_loaded_by_its_path():
    places = [os.path.join(HERE, name) for name in ("dropped.py", "changed.py", "link.py", "bare.pyc", "linked/own.py")]
    for path in places + [os.path.join(STUDENT, "own.py")]:
        spec = importlib.util.spec_from_file_location("by_path", path)
        with pytest.raises(ImportError):
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    spec = importlib.util.spec_from_file_location("by_path", os.path.join(HERE, "plain.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.VALUE == "suite"


def test_what_pytest_rewrites_is_guarded_too():
    pytest.register_assert_rewrite("test_dropped")
    write(HERE, "test_dropped.py")
    with pytest.raises(ImportError):
        importlib.import_module("test_dropped")
    with pytest.raises(AssertionError) as raised:
        left, right = [1], [2]
        assert left == right
    assert "At index 0 diff" in textwrap.dedent(str(raised.value))


def test_bytecode_that_pytest_keeps_is_not_taken(tmp_path):
    from _pytest.assertion import rewrite

    source, evil = os.path.join(HERE, "rewritten.py"), write(str(tmp_path), "evil.py", content="VALUE = 'evil!'\n")
    rewritten = [rewrite._rewrite_test(pathlib.Path(path), None) for path in (source, evil)]
    name = "rewritten" + rewrite.PYC_TAIL
    with open(os.path.join(HERE, "__pycache__", name), "wb") as file:
        rewrite._write_pyc_fp(file, rewritten[0][0], rewritten[1][1])
    pytest.register_assert_rewrite("rewritten")
    assert importlib.import_module("rewritten").VALUE == "suite"


def test_an_extension_of_the_student_is_not_loaded():
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    path = write(HERE, "fast" + suffix)
    with pytest.raises(ImportError):
        importlib.import_module("fast")
    with pytest.raises(ImportError, match="refuses"):
        importlib.util.module_from_spec(importlib.util.spec_from_file_location("fast", path))
