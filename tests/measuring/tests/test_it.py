"""Cases that take known amounts of memory, beside the interpreter that takes it."""

import os
import subprocess
import sys
import time

# Says when it has its memory, and keeps it until it is told to go: several have theirs at the same time.
TAKES = "import sys; taken = bytearray(int(sys.argv[1]) << 20); print(flush=True); sys.stdin.read()"

# For a measurement that looks again and again.
LONG_ENOUGH = 0.3

# Goes on behind its case, and takes its memory when the file `gap` is there.
DAEMON = """
import os, time
while not os.path.exists("gap"):
    time.sleep(0.01)
taken = bytearray(100 << 20)
open("grown", "w").close()
time.sleep(600)
"""


def take(*megabytes):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = [subprocess.Popen([sys.executable, "-c", TAKES, str(count)], **pipes) for count in megabytes]
    assert all([one.stdout.readline() for one in running])
    time.sleep(LONG_ENOUGH)
    for one in running:
        one.communicate()
    assert not any(one.returncode for one in running)


def test_ten():
    take(10)


def test_hundred():
    take(100)


def test_three():
    take(30, 30, 30)


def test_one():
    take(1)


def test_begins():
    subprocess.Popen([sys.executable, "-c", DAEMON], cwd=os.environ["SRC"])


def test_next():
    assert os.path.exists(os.environ["SRC"] + "/grown")


def test_last():
    take(30)
