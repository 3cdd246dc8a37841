"""Where the student's program is, and how it is called."""

import os
import subprocess

import pytest


def pytest_addoption(parser):
    parser.addoption("--src", required=True)


@pytest.fixture
def source(request):
    return request.config.getoption("--src")


@pytest.fixture
def call(source):
    """Calls a program of the student's; its descriptors stay inheritable, as with os.system."""

    def call(program, seconds=20):
        return subprocess.run(
            [program], cwd=source, capture_output=True, text=True, errors="replace", timeout=seconds, close_fds=False
        )

    return call


@pytest.fixture
def outside(source):
    """What the harness tells."""
    with open(os.path.join(source, "outside"), encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split("=", 1) for line in lines if "=" in line)
