"""Runs the cases one by one, and waits before one of them: between the end of one case and the beginning of the next."""

import os
import time


def pytest_runtestloop(session):
    gap, grown = (os.path.join(os.environ["SRC"], name) for name in ("gap", "grown"))
    for item in session.items:
        if item.name == "test_next":
            open(gap, "w").close()
            end = time.monotonic() + 60
            while not os.path.exists(grown) and time.monotonic() < end:
                time.sleep(0.01)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return True
