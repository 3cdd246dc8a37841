"""Whether each case of tests/measuring/ is told what it took: reads an answer. Python's own memory comes on top."""

import json
import sys

EXPECTED = {
    "ten": (8, 40),
    "hundred": (90, 130),
    "three": (80, 150),
    "one": (0, 30),
    "begins": (0, 40),
    "next": (90, 150),
    "last": (25, 60),
}

found = {case["name"].rpartition("test_")[2]: case["memoryUsed"] for case in json.load(sys.stdin)["testResults"]}
print(" ".join(f"{name}={used}" for name, used in found.items()))
wrong = [name for name, (least, most) in EXPECTED.items() if not least <= found.get(name, -1) <= most]
sys.exit(f"wrong: {' '.join(wrong)}" if wrong else 0)
