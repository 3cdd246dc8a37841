"""Carries the results of pytest-forked's processes over a pipe that no program under test can reach.

pytest-forked runs a case in a fork of the interpreter, which writes its result into a file in TMPDIR. A program under test can write to
that file too. This module replaces the function that does so: its fork sends the result over a pipe. Only forks of the interpreter have
the pipe, since no other program inherits it and none can read these processes (they are not dumpable). How a report is serialized and what
a crash counts as is left to the installed version of pytest-forked.

The plugin imports it if it has a channel and pytest-forked is installed. Works with Python 3.7 and pytest-forked 1.0 and later.
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

# Exit codes of a fork that was interrupted, and of one that failed without a report.
EXITSTATUS_TESTEXIT = 4
EXITSTATUS_EXCEPTION = 3
# The length of a result, which precedes it.
HEAD = struct.Struct("!Q")
# Maximum bytes of a result, its captured output included.
MAX_RESULT = 256 << 20
# Maximum bytes of the output that a case writes past pytest's capture; they are shown if it crashes.
MAX_OUTPUT = 1 << 20
# Milliseconds without data after which the fork's status is checked.
POLL_INTERVAL = 100


class Fork:
    """A fork of the interpreter that calls a function and sends the bytes that it returns."""

    def __init__(self, function):
        # Files without names, which can be read through these objects only.
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
        """Runs in the fork, and does not return."""
        status = EXITSTATUS_EXCEPTION
        try:
            own = os.getpid()
            os.close(self.incoming)
            sys.stdout, sys.stderr = redirect(1, self.out), redirect(2, self.err)
            result = function()
            # A test can fork itself, and its fork can return to here: it sends nothing.
            if os.getpid() == own:
                send(outgoing, HEAD.pack(len(result)) + result)
                status = 0
        except BaseException as error:
            sys.stderr.write("".join(traceback.format_exception_only(type(error), error)))
        finally:
            os._exit(status)

    def wait(self):
        """Waits for the result, in the form that pytest-forked's `report_process_crash` expects; `retval` is None if the fork crashed."""
        try:
            received, status = self.receive()
        finally:
            # Closed before the wait below: a fork that still sends data would otherwise never end.
            os.close(self.incoming)
        if status is None:
            _, status = os.waitpid(self.pid, 0)
        signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        exitstatus = 128 + signal if signal else os.WEXITSTATUS(status)
        return types.SimpleNamespace(
            retval=None if status else complete(received),
            exitstatus=exitstatus,
            signal=signal,
            out=content(self.out),
            err=content(self.err),
        )

    def receive(self):
        """Receives what the fork sends, and its status if it has ended meanwhile. The end of the fork counts as the end of the data too,
        since forks of the fork can keep the pipe open for longer."""
        received, status = bytearray(), None
        waiting = select.poll()
        waiting.register(self.incoming, select.POLLIN)
        while not is_enough(received):
            if waiting.poll(POLL_INTERVAL if status is None else 0):
                chunk = os.read(self.incoming, 1 << 16)
                if not chunk:
                    break
                received += chunk
            elif status is not None:
                break
            else:
                pid, found = os.waitpid(self.pid, os.WNOHANG)
                # Its last data may have arrived since the last poll.
                status = found if pid else None
        return received, status


def redirect(number, file):
    """Redirects the descriptor `number` to the file; returns an unbuffered stream to it."""
    os.dup2(file.fileno(), number)
    raw = open(number, "wb", 0, closefd=False)
    return io.TextIOWrapper(raw, errors="backslashreplace", write_through=True)


def send(number, data):
    left = memoryview(data)
    while left:
        left = left[os.write(number, left) :]


def is_enough(received):
    """Whether the data is complete, or longer than the limit."""
    if len(received) < HEAD.size:
        return False
    return len(received) - HEAD.size >= min(HEAD.unpack_from(received)[0], MAX_RESULT)


def complete(received):
    """The result in the data; None if it is incomplete, as after a crash."""
    if len(received) < HEAD.size or len(received) - HEAD.size != HEAD.unpack_from(received)[0]:
        return None
    return bytes(received[HEAD.size :])


def content(file):
    with file:
        file.seek(0)
        return file.read(MAX_OUTPUT).decode("utf-8", "replace")


def run_report(plugin, item):
    """Runs an item in a fork and returns its reports, as `forked_run_report` of pytest-forked does, but over a pipe."""
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
            # Counts as a crash.
            pass
    if result.exitstatus == EXITSTATUS_TESTEXIT:
        pytest.exit("forked test item %s raised Exit" % (item,))
    return [plugin.report_process_crash(item, result)]


def install(plugin):
    """Replaces the function in the module pytest_forked; returns False if its version differs from the known ones."""
    names = vars(plugin)
    run, protocol = names.get("forked_run_report"), names.get("pytest_runtest_protocol")
    if getattr(run, "is_replacement", False):
        return True
    uses = {"report_process_crash", "exitstatus", "retval"} <= set(run.__code__.co_names)
    calls = protocol.__globals__ is names and "forked_run_report" in protocol.__code__.co_names
    if not uses or not calls or not callable(names.get("serialize_report")):
        return False

    def forked_run_report(item):
        return run_report(plugin, item)

    forked_run_report.is_replacement = True
    plugin.forked_run_report = forked_run_report
    return True
