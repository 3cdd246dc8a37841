"""PYTEST_DONT_REWRITE. The runner's pytest plugin: sends an event for each thing that a pytest session does, each a line of JSON.

pytest finds it by its entry point, or by the option `-p ostest_plugin`. The runner passes one end of a stream socket, whose number is in
OSTEST_EVENTS. It answers `trust`, `start` and `end` with one byte each, so that it can measure memory in between.

No program under test can reach the socket: children do not inherit it, the interpreter is not dumpable, and modules that were not there
when the interpreter started are not imported from the folders in OSTEST_SUITE and OSTEST_WRITABLE (`ostest_imports`). The processes of
pytest-forked send their results over a pipe with the same protection (`ostest_forked`); the controller of pytest-xdist sends the events
of its workers (`ostest_xdist`).

An error in the plugin, or the end of the runner, stops its events and never changes what the suite does. The runner counts a case without
an end as a failure. Works with Python 3.7 and pytest 6 and later.
"""

import atexit
import json
import os
import select
import shlex
import stat
import sys

import ostest_imports
import ostest_memory
import ostest_recorder

NAME = "ostest_plugin"


# The channel.


class Channel:
    """The socket to the runner: sends whole lines, receives single bytes. After the first error it does nothing."""

    def __init__(self, connection, flags):
        self.connection = connection
        self.flags = flags
        self.owner = os.getpid()
        # The data to send, and the numbers of bytes that were sent.
        self.pending = (b"", [])
        os.register_at_fork(after_in_child=self.close)
        # The function that is called at a fork outlives all modules. Python warns of a socket that is open so late, and Python 3.9 and older
        # crash.
        atexit.register(self.close)

    @classmethod
    def open(cls, number):
        """Opens the channel on the descriptor `number`; returns None if that is not a Unix stream socket."""
        # Not `socket`: a suite can have a module of that name, and _socket loads faster.
        import _socket

        if not number.isdigit():
            return None
        try:
            if not stat.S_ISSOCK(os.fstat(int(number)).st_mode):
                return None
            os.set_inheritable(int(number), False)
            connection = _socket.socket(fileno=int(number))
        except (OSError, OverflowError):
            return None
        if (connection.family, connection.type & 0xF) != (_socket.AF_UNIX, _socket.SOCK_STREAM):
            connection.detach()
            return None
        return cls(connection, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)

    def close(self):
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def is_open(self):
        return self.connection is not None and os.getpid() == self.owner

    def send(self, event, **values):
        """Sends a line. If a signal handler raises an exception meanwhile, the line is still sent once and as a whole, now or before
        the next line: it becomes pending in one step, and the step that sends bytes also counts them."""
        values["event"] = event
        line = json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"
        self.pending = (self.unsent() + line, [])
        while self.is_open() and self.unsent():
            try:
                # Sending and counting are one call into C, so no handler of a signal runs between them.
                self.pending[1].extend(map(self.connection.send, (self.unsent(),), (self.flags,)))
            except BlockingIOError:
                self.wait_for(select.POLLOUT)
            except OSError:
                self.close()

    def unsent(self):
        data, counts = self.pending
        return data[sum(counts) :]

    def ask(self, event, **values):
        """Sends a line and waits for the answer, one byte of any value."""
        self.received()
        self.send(event, **values)
        while self.is_open() and not self.received():
            self.wait_for(select.POLLIN)

    def received(self):
        """Takes what has arrived; returns whether there was anything."""
        try:
            got = self.connection.recv(64, self.flags) if self.is_open() else b""
        except BlockingIOError:
            return False
        except OSError:
            got = b""
        if not got:
            self.close()
        return bool(got)

    def wait_for(self, what):
        waiting = select.poll()
        waiting.register(self.connection.fileno(), what)
        waiting.poll()


# The session.


def is_worker(config):
    """Whether this process is a worker of xdist."""
    return hasattr(config, "workerinput") or "PYTEST_XDIST_WORKER" in os.environ


def is_distributed(config):
    """Whether xdist runs the tests in other processes."""
    option = config.option
    return (
        bool(getattr(option, "numprocesses", None))
        or bool(getattr(option, "tx", None))
        or getattr(option, "dist", "no") != "no"
    )


def recorder_class(config):
    if not is_distributed(config):
        return ostest_recorder.Recorder
    # Imported here because few suites need it.
    import ostest_xdist

    return ostest_xdist.Distributed


# The recorder of the latest session.
LAST = None


def pytest_configure(config):
    global LAST
    try:
        # xdist would make its workers import the plugin by this name, which they cannot.
        if NAME in (config.option.plugins or ()):
            config.option.plugins = [name for name in config.option.plugins if name != NAME]
        if is_worker(config):
            # Its results for the controller may come from forks.
            ostest_recorder.use_pipes_for_forks(config.pluginmanager)
            if CHANNEL is not None:
                CHANNEL.close()
            return
        if CHANNEL is None:
            return
        if LAST is not None and not LAST.finished:
            # A session within a session, such as a test of a plugin. It sends no events.
            return
        LAST = recorder = recorder_class(config)(CHANNEL, config, 0 if LAST is None else LAST.total)
        recorder.hello()
        config.pluginmanager.register(recorder, "ostest-events")
    except Exception:
        if CHANNEL is not None:
            CHANNEL.close()


# Runs at import, before anything else of the suite is loaded.


def without_plugin(options):
    """The options without `-p ostest_plugin`."""
    kept, rest = [], iter(shlex.split(options))
    for option in rest:
        if option == "-p":
            value = next(rest, None)
            kept.extend([] if value == NAME else [option] if value is None else [option, value])
        elif option != "-p" + NAME:
            kept.append(option)
    return " ".join(shlex.quote(option) for option in kept)


def take_environment():
    """Removes the variables for this file from the environment, so that no child gets them; returns their values."""
    taken = [os.environ.pop(name, "") for name in ("OSTEST_EVENTS", "OSTEST_SUITE", "OSTEST_WRITABLE")]
    # The guard of the environment has taken the number, if there is a guard.
    taken[0] = taken[0] or getattr(sys.modules.get("ostest_guard"), "EVENTS", "")
    here = os.path.dirname(os.path.abspath(__file__))

    def is_other(path):
        return not path or os.path.abspath(path) != here

    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if not all(map(is_other, given)):
        # The plugin is in a folder of its own, which is named in PYTHONPATH, and not in site-packages.
        sys.path[:] = [path for path in sys.path if is_other(path)]
    remaining = {
        "PYTHONPATH": os.pathsep.join(filter(is_other, given)),
        "PYTEST_ADDOPTS": without_plugin(os.environ.get("PYTEST_ADDOPTS", "")),
    }
    for name, value in remaining.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    return taken


def set_up():
    number, suite, writable = take_environment()
    ostest_recorder.FOR_WORKERS.update({"OSTEST_SUITE": suite, "OSTEST_WRITABLE": writable})
    channel = None
    try:
        channel = Channel.open(number)
        if channel is not None:
            channel.ask("trust")
        # A worker of xdist has no channel; it sends its results over pipes to the controller.
        if channel is not None or suite or writable or "PYTEST_XDIST_WORKER" in os.environ:
            ostest_memory.hide()
        folders = [folder for folder in writable.split(":") if folder]
        if suite or folders:
            ostest_imports.Guard(suite, folders, os.environ.get("OSTEST_OWN")).install()
            getattr(sys.modules.get("ostest_guard"), "uninstall", bool)()
    except Exception as error:
        # Without the guard no result can be trusted. The runner then has the suite's report file only.
        print("%s: %s: %s" % (NAME, type(error).__name__, error), file=sys.stderr)
        return None
    return channel


CHANNEL = set_up()
