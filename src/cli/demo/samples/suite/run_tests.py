"""Runs the demo's tests on a student's program; takes the arguments of an OSTEST suite."""

import argparse
import sys

import pytest


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--src", required=True, help="folder of the student's program")
    parser.add_argument("--lab-num", nargs="*", default=[], help="laboratories to test")
    parser.add_argument("--proxy_timeout", default="10", help="seconds that one call may take")
    known, rest = parser.parse_known_args()
    return pytest.main(["tests", "--tb=short", "-p", "no:cacheprovider", f"--src={known.src}", *rest])


sys.exit(0 if main() == 0 else 1)
