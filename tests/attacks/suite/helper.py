"""A program of the suite's: asks the student's exam and prints what it said as JSON."""

import json
import subprocess
import sys

said = subprocess.run(["./exam"], cwd=sys.argv[1], capture_output=True, text=True).stdout.strip()
print(json.dumps({"said": said}))
