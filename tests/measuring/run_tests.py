import argparse
import os
import sys

import pytest

parser = argparse.ArgumentParser()
parser.add_argument("--src", required=True)
parser.add_argument("--junit-xml", required=True)
parser.add_argument("-k")
given, _ = parser.parse_known_args()
os.environ["SRC"] = given.src
chosen = ["-k", given.k] if given.k else []
sys.exit(1 if pytest.main(["-q", "tests", "--junit-xml=" + given.junit_xml, *chosen]) else 0)
