"""The suite that meets the attacks. It does what real ones do, carelessly: no time limit on make, pipes for output."""

import argparse
import sys

import pytest

parser = argparse.ArgumentParser()
parser.add_argument("--src", required=True)
parser.add_argument("--junit-xml", required=True)
parser.add_argument("-k")
parser.add_argument("--lab-num", nargs="*")
parser.add_argument("--proxy_timeout")
parser.add_argument("--capture", default="fd")
known = parser.parse_args()

line = ["tests", "--src", known.src, f"--junit-xml={known.junit_xml}", f"--capture={known.capture}"]
if known.k:
    line += ["-k", known.k]
sys.exit(1 if pytest.main(line) else 0)
