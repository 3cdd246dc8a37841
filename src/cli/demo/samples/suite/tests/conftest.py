import subprocess
from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--src", required=True)


@pytest.fixture(scope="session")
def build(request):
    """The student's folder, and the result of `make` there."""
    source = Path(request.config.getoption("--src"))
    return source, subprocess.run(["make"], cwd=source, capture_output=True, text=True)


@pytest.fixture
def calc(build):
    """Runs the student's program; skips the test if it was not built."""
    source, made = build
    if made.returncode != 0:
        pytest.skip("the program could not be built")

    def call(*arguments):
        return subprocess.run([source / "calc", *arguments], capture_output=True, text=True).stdout.strip()

    return call
