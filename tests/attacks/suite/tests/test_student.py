import json
import os
import subprocess
import sys

import pytest

# In two pieces: a failure shows the lines of this file too, and they are no leak.
WORD = "LEA" + "KED"
SUITE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def own(field):
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(line.split()[1] for line in status if line.startswith(field + ":"))


def test_attack(source, call, outside):
    # A sandbox that is not there must not cost this machine: nothing dangerous is started without one.
    if "HARMLESS" not in outside:
        assert int(own("CapEff"), 16) == 0, f"{WORD}: the suite has capabilities"
        assert own("NoNewPrivs") == "1", f"{WORD}: the suite is not confined"
    built = subprocess.run(["make"], cwd=source, close_fds=False)
    assert built.returncode == 0, f"make ended with {built.returncode}"
    done = call("./attack", float(outside.get("SECONDS", 3)))
    lines = done.stdout.splitlines()
    leaked = [line for line in lines if line.startswith(WORD)]
    assert not leaked, "\n".join(leaked[:20])
    assert done.returncode == 0, f"attack ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}"
    assert any(line.startswith(("BLOCKED", "TRIED")) for line in lines), f"the attack said nothing: {done.stderr[-500:]}"


def test_later():
    import colorsys
    import later

    assert later.ANSWER == 42
    assert colorsys.rgb_to_hsv(0, 0, 1)[2] == 1
    assert 0.1 + 0.2 == pytest.approx(0.3)


def test_exam(call):
    said = call("./exam").stdout
    assert said == "42\n", f"the exam said {said!r}"


def test_helper(source):
    line = [sys.executable, "helper.py", source]
    done = subprocess.run(line, cwd=SUITE, capture_output=True, text=True, timeout=20)
    assert json.loads(done.stdout) == {"said": "42"}, done
