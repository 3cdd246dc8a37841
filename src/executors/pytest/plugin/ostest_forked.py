"""What pytest-forked's processes say, on a way that no program under test can reach.

pytest-forked runs a case in a fork of the interpreter, which writes what came of it into a file in TMPDIR; a student's
program can write to that too. Here is a stand-in for the function that does so: its fork sends the same over a pipe that
only forks of the interpreter have, since no other program inherits it and none may look into them (they are not dumpable
either). What a report becomes on the way and what a crash counts as is left to pytest-forked, of whatever version.

The plugin loads it where the runner listens and pytest-forked is there. Works with Python 3.7 and pytest-forked 1.0 and later.
"""

import io
import marshal
import os
import select
import struct
import sys
import tempfile
import traceback
import types

import pytest

# What a fork ends with where it was interrupted; what it ends with where it failed without a report.
EXITSTATUS_TESTEXIT = 4
EXITSTATUS_EXCEPTION = 3
# In front of what came of a case: its length.
HEAD = struct.Struct("!Q")
# Bytes of what came of a case, its captured output included.
LONGEST = 256 << 20
# Bytes that are kept of what a case has written past pytest's own capture; they are shown where it crashed.
LONGEST_OUTPUT = 1 << 20
# Milliseconds after which a fork is looked at that neither says anything nor closes the pipe.
PATIENCE = 100


class Fork:
    """A fork of the interpreter that calls a function, and sends the bytes that it returns."""

    def __init__(self, function):
        # Without names, and read through these objects only.
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        # Neither end is inherited by another program (PEP 446).
        self.incoming, outgoing = os.pipe()
        try:
            self.pid = os.fork()
            if self.pid == 0:
                self.run(function, outgoing)
        except OSError:
            os.close(self.incoming)
            raise
        finally:
            os.close(outgoing)

    def run(self, function, outgoing):
        """The fork, which does not return."""
        status = EXITSTATUS_EXCEPTION
        try:
            own = os.getpid()
            os.close(self.incoming)
            sys.stdout, sys.stderr = redirect(1, self.out), redirect(2, self.err)
            result = function()
            # A test that forks, and whose fork comes back here, says nothing in this one's place.
            if os.getpid() == own:
                send(outgoing, HEAD.pack(len(result)) + result)
                status = 0
        except BaseException as error:
            sys.stderr.write("".join(traceback.format_exception_only(type(error), error)))
        finally:
            os._exit(status)

    def wait(self):
        """What came of it, as `report_process_crash` of pytest-forked wants it; `retval` is None if it crashed."""
        try:
            received, status = self.receive()
        finally:
            # Before the fork's end is waited for: one that has more to say than is heard would not come to it.
            os.close(self.incoming)
        if status is None:
            _, status = os.waitpid(self.pid, 0)
        signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        exitstatus = 128 + signal if signal else os.WEXITSTATUS(status)
        return types.SimpleNamespace(
            retval=None if status else whole(received),
            exitstatus=exitstatus,
            signal=signal,
            out=content(self.out),
            err=content(self.err),
        )

    def receive(self):
        """What the fork sends, and its status if it has ended meanwhile. Forks of its own may hold the pipe open for
        longer: its end counts too."""
        received, status = bytearray(), None
        waiting = select.poll()
        waiting.register(self.incoming, select.POLLIN)
        while not is_enough(received):
            if waiting.poll(PATIENCE if status is None else 0):
                chunk = os.read(self.incoming, 1 << 16)
                if not chunk:
                    break
                received += chunk
            elif status is not None:
                break
            else:
                pid, found = os.waitpid(self.pid, os.WNOHANG)
                # What it sent in the end may have come since the last look.
                status = found if pid else None
        return received, status


def redirect(number, file):
    """A stream without a buffer to the descriptor of that number, which is made to lead to the file."""
    os.dup2(file.fileno(), number)
    raw = open(number, "wb", 0, closefd=False)
    return io.TextIOWrapper(raw, errors="backslashreplace", write_through=True)


def send(number, data):
    left = memoryview(data)
    while left:
        left = left[os.write(number, left) :]


def is_enough(received):
    """Whether it is all, or more than is read."""
    if len(received) < HEAD.size:
        return False
    return len(received) - HEAD.size >= min(HEAD.unpack_from(received)[0], LONGEST)


def whole(received):
    """What came of the case; None if it is not whole, as of one that crashed."""
    if len(received) < HEAD.size or len(received) - HEAD.size != HEAD.unpack_from(received)[0]:
        return None
    return bytes(received[HEAD.size :])


def content(file):
    with file:
        file.seek(0)
        return file.read(LONGEST_OUTPUT).decode("utf-8", "replace")


def run_report(plugin, item):
    """The reports of an item that is run in a fork: `forked_run_report` of pytest-forked, but for the way they come."""
    from _pytest import runner

    def run():
        try:
            reports = runner.runtestprotocol(item, log=False)
        except KeyboardInterrupt:
            os._exit(EXITSTATUS_TESTEXIT)
        return marshal.dumps([plugin.serialize_report(report) for report in reports])

    result = Fork(run).wait()
    if result.retval is not None:
        try:
            return [runner.TestReport(**report) for report in marshal.loads(result.retval)]
        except (EOFError, TypeError, ValueError):
            # No more than if it had crashed.
            pass
    if result.exitstatus == EXITSTATUS_TESTEXIT:
        pytest.exit("forked test item %s raised Exit" % (item,))
    return [plugin.report_process_crash(item, result)]


def install(plugin):
    """Puts the stand-in into the module pytest_forked; false where that does not work as the known versions do."""
    names = vars(plugin)
    run, protocol = names.get("forked_run_report"), names.get("pytest_runtest_protocol")
    if getattr(run, "stands_in", False):
        return True
    uses = {"report_process_crash", "exitstatus", "retval"} <= set(run.__code__.co_names)
    calls = protocol.__globals__ is names and "forked_run_report" in protocol.__code__.co_names
    if not uses or not calls or not callable(names.get("serialize_report")):
        return False

    def forked_run_report(item):
        return run_report(plugin, item)

    forked_run_report.stands_in = True
    plugin.forked_run_report = forked_run_report
    return True
