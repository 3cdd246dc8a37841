"""PYTEST_DONT_REWRITE. What a pytest session does, told to the runner as it happens, a line of JSON each.

pytest finds it by its entry point, or is told of it with `-p ostest_plugin`; the runner gives it one end of a stream
socket by number in OSTEST_EVENTS, and answers `trust`, `start` and `end` with one byte each, so that it can look at the memory in
between. Nothing that a student's program does reaches the socket: children do not inherit it, the interpreter is not dumpable, and modules that were not
there when it started are not imported from the folders in OSTEST_SUITE and OSTEST_WRITABLE (`ostest_imports`). What pytest-forked's processes say
comes on a way of the same kind (`ostest_forked`), and pytest-xdist's workers are heard by its controller (`ostest_xdist`).

Promises: a mistake in here, or a runner that is gone, makes it silent and never changes what the suite does; an ending
that is not told counts as a failure there. Works with Python 3.7 and pytest 6 and later.
"""

import atexit
import json
import os
import re
import select
import shlex
import stat
import sys

import ostest_imports
import pytest

NAME = "ostest_plugin"
# Bytes of one line, its end included; the list of cases comes in as many as it takes.
LONGEST_LINE = 60 << 10
# Bytes of a description, before JSON.
LONGEST_DESCRIPTION = 16 << 10
# Characters that are kept of each end of a name: more than the runner keeps.
LONGEST_NAME = 4 << 10
# pytest's junitxml escapes these, and DEL, in the same way.
ILLEGAL = re.compile("[^\t\n\r\x20-\x7e\x80-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SEVERITY = {"passed": 0, "skipped": 1, "failed": 2, "errored": 3}


# The channel.


class Channel:
    """The socket: whole lines out, a byte back. After the first error it does nothing."""

    def __init__(self, connection, flags):
        self.connection = connection
        self.flags = flags
        self.owner = os.getpid()
        # What is to be sent, and how much of it has been.
        self.pending = (b"", [])
        os.register_at_fork(after_in_child=self.close)
        # Who is called at a fork outlives all modules: a socket that is open so late is warned of, and Python 3.9 and older crash.
        atexit.register(self.close)

    @classmethod
    def open(cls, number):
        """The channel on the descriptor of that number; none if there is no stream socket of the unix kind."""
        # Not `socket`: a suite may have a module of that name, and this costs less.
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

    def tell(self, event, **values):
        """Sends a line. Where a signal's handler raises, the line is sent as a whole and once, now or before the next:
        it becomes pending in one step, and what is sent is counted in the step that sends it."""
        values["event"] = event
        line = json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"
        self.pending = (self.unsent() + line, [])
        while self.is_open() and self.unsent():
            try:
                # No bytecode of ours runs between the two, so no handler either.
                self.pending[1].extend(map(self.connection.send, (self.unsent(),), (self.flags,)))
            except BlockingIOError:
                self.until(select.POLLOUT)
            except OSError:
                self.close()

    def unsent(self):
        data, counts = self.pending
        return data[sum(counts) :]

    def ask(self, event, **values):
        """Sends a line and waits for the answer. Any byte will do: one that an interrupt left is better than none."""
        self.received()
        self.tell(event, **values)
        while self.is_open() and not self.received():
            self.until(select.POLLIN)

    def received(self):
        """Whether something had come; it is taken."""
        try:
            got = self.connection.recv(64, self.flags) if self.is_open() else b""
        except BlockingIOError:
            return False
        except OSError:
            got = b""
        if not got:
            self.close()
        return bool(got)

    def until(self, what):
        waiting = select.poll()
        waiting.register(self.connection.fileno(), what)
        waiting.poll()


# What a report says, as pytest's JUnit file says it and as the runner reads that.


def escape(text):
    return ILLEGAL.sub(lambda match: "#x%02X" % ord(match.group()), str(text))


def cut(text, limit=LONGEST_DESCRIPTION):
    """At most so many bytes: head and tail, and between them the line that the runner also uses."""
    data = text.encode("utf-8")
    if len(data) <= limit:
        return text
    half = limit // 2 - 40
    head, tail = data[:half].decode("utf-8", "ignore"), data[-half:].decode("utf-8", "ignore")
    gone = len(data) - len(head.encode("utf-8")) - len(tail.encode("utf-8"))
    return "%s\n[\u2026 %d bytes cut \u2026]\n%s" % (head, gone, tail)


def without_blank_ends(text):
    text = text.rstrip()
    return text[text.rfind("\n", 0, len(text) - len(text.lstrip())) + 1 :]


def describe(problems):
    """One description of all problems of a case: the message, unless the text begins with it, and the text."""
    lines = []
    for _, message, text, kind in problems:
        message, text = escape(message).strip(), without_blank_ends(escape(text))
        if not message and not text:
            lines.append(kind)
            continue
        begin = text.lstrip()
        if not begin.startswith(message) or begin[len(message) :][:1].isalnum():
            lines.append(message)
        lines.append(text)
    return cut("\n".join(line for line in lines if line))


def shorten(message):
    """Newer versions of pytest shorten what they write into the message attribute."""
    from _pytest import junitxml

    return getattr(junitxml, "shorten_message", str)(message)


def crash(report):
    found = getattr(report.longrepr, "reprcrash", None)
    return str(report.longrepr) if found is None else found.message


def without(prefix, text):
    return text[len(prefix) :] if text.startswith(prefix) else text


def problem(report):
    """What a test report adds to its case, as pytest's `junitxml` decides it: outcome, message, text, type."""
    expected = getattr(report, "wasxfail", None)
    if report.outcome == "failed" and report.when == "call":
        if expected is not None:
            return ("skipped", "xfail-marked test passes unexpectedly", "", "")
        return ("failed", shorten(crash(report)), str(report.longrepr), "")
    if report.outcome == "failed":
        when = "teardown" if report.when == "teardown" else "setup"
        message = 'failed on %s with "%s"' % (when, crash(report))
        return ("errored", shorten(message), str(report.longrepr), "")
    if report.outcome == "skipped" and expected is not None:
        return ("skipped", without("reason: ", expected), "", "pytest.xfail")
    if report.outcome == "skipped":
        if not isinstance(report.longrepr, tuple):
            return ("skipped", "", str(report.longrepr), "pytest.skip")
        path, line, reason = report.longrepr
        reason = without("Skipped: ", reason)
        return ("skipped", reason, "%s:%s: %s" % (path, line, reason), "pytest.skip")
    return None


def case_name(nodeid, prefix):
    """`classname::name`, both as pytest writes them into its JUnit file."""
    try:
        from _pytest.junitxml import mangle_test_address

        names = list(mangle_test_address(nodeid))
    except Exception:
        path, bracket, parameters = str(nodeid).partition("[")
        names = [part for part in path.split("::") if part != "()"]
        names[0] = re.sub(r"\.py$", "", names[0].replace("/", "."))
        names[-1] += bracket + parameters
    classes = ([prefix] if prefix else []) + names[:-1]
    name = escape("%s::%s" % (".".join(classes), names[-1]))
    if len(name) > 2 * LONGEST_NAME:
        name = name[:LONGEST_NAME] + name[-LONGEST_NAME:]
    return name


# The session.


def new_case(index, nodeid):
    return {"index": index, "nodeid": nodeid, "problems": [], "passed": False, "duration": 0.0}


class Recorder:
    """The hooks, where this process runs the tests. Registered only where there is a channel."""

    def __init__(self, channel, config, first=0):
        self.channel = channel
        self.finished = False
        self.plugins = config.pluginmanager
        self.prefix = getattr(config.option, "junitprefix", None)
        total = config.getini("junit_duration_report") != "call"
        self.timed = ("setup", "call", "teardown") if total else ("call",)
        self.broken = []
        self.begun = False
        self.known = {}
        # Cases are counted on through all sessions of the interpreter.
        self.total = first
        self.current = None

    def hello(self):
        self.channel.tell("hello", version=1, pytest=str(pytest.__version__), pid=os.getpid())

    def collected(self, names):
        """Tells names in lines of bounded length; returns the index of the first."""
        first = self.total
        self.total += len(names)
        chunk, size = [], 0
        for name in names:
            length = len(json.dumps(name)) + 1
            if chunk and size + length > LONGEST_LINE - 100:
                self.channel.tell("collected", cases=chunk)
                chunk, size = [], 0
            chunk.append(name)
            size += length
        if chunk:
            self.channel.tell("collected", cases=chunk)
        return first

    def begin(self, items):
        """The whole list; then what failed while it was made."""
        if self.begun:
            return
        self.begun = True
        forked = sum(map(is_forked, items))
        if not hears_forks(self.plugins) and forked:
            self.channel.tell("doubt", why=FORKED % forked)
        first = self.list([item.nodeid for item in items])
        # The items are held, so that no other object ever has the identity of one.
        self.known = {id(item): (at, item) for at, item in enumerate(items, first)}

    def list(self, nodeids):
        """Tells all cases, those first that are broken already; returns the index of the first of the others."""
        names = [case_name(nodeid, self.prefix) for nodeid, _ in self.broken]
        names.extend(case_name(nodeid, self.prefix) for nodeid in nodeids)
        first = self.collected(names)
        self.channel.tell("begin", count=self.total)
        for index, (_, found) in enumerate(self.broken, first):
            self.start(index)
            self.end(index, found[0], 0.0, describe([found]))
        return first + len(self.broken)

    def start(self, index):
        self.channel.ask("start", case=index)

    def end(self, index, outcome, duration, description):
        self.channel.ask("end", case=index, outcome=outcome, duration=round(duration, 6), description=description)

    def begin_case(self, item):
        index, _ = self.known.get(id(item), (None, None))
        if index is None:
            index = self.collected([case_name(item.nodeid, self.prefix)])
            self.known[id(item)] = (index, item)
        self.current = new_case(index, item.nodeid)
        self.start(index)

    def end_case(self):
        case, self.current = self.current, None
        if case is not None:
            self.tell_end(case)

    def tell_end(self, case):
        problems = case["problems"]
        if not problems and not case["passed"]:
            problems = [("errored", "pytest reported no result", "", "")]
        outcome = max([found[0] for found in problems] or ["passed"], key=SEVERITY.get)
        self.end(case["index"], outcome, case["duration"], describe(problems))

    def add_report(self, report):
        case = self.current
        if case is not None and report.nodeid == case["nodeid"]:
            self.add_to(case, report)

    def add_to(self, case, report):
        if report.when in self.timed:
            case["duration"] += getattr(report, "duration", 0.0)
        if report.outcome == "passed" and report.when == "call":
            case["passed"] = True
        # A plugin that runs a test again gives its former outcomes names of its own.
        found = problem(report)
        if found is not None:
            case["problems"].append(found)

    def add_collect_report(self, report):
        if report.outcome == "failed":
            self.broken.append((report.nodeid, ("errored", "collection failure", str(report.longrepr), "")))
        elif report.outcome == "skipped":
            self.broken.append((report.nodeid, ("skipped", "collection skipped", str(report.longrepr), "")))

    def add_internal_error(self, text):
        self.begin(())
        index = self.collected(["pytest::internal"])
        self.start(index)
        self.end(index, "errored", 0.0, describe([("errored", "internal error", text, "")]))

    def finish(self, session, exitstatus):
        self.begin(getattr(session, "items", ()))
        self.channel.tell("finish", exit=int(getattr(session, "exitstatus", exitstatus)))
        self.finished = True

    def safely(self, action, *args):
        """A mistake in here silences the channel; it is not the suite's."""
        try:
            action(*args)
        except Exception:
            self.channel.close()

    def pytest_collectreport(self, report):
        self.safely(self.add_collect_report, report)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session):
        self.safely(self.begin, session.items)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item):
        self.safely(self.begin_case, item)
        result = yield
        # What flies through here is an interrupt or pytest.exit: the case has not ended.
        if result.excinfo is None:
            self.safely(self.end_case)

    def pytest_runtest_logreport(self, report):
        self.safely(self.add_report, report)

    def pytest_internalerror(self, excrepr):
        self.safely(self.add_internal_error, str(excrepr))

    # Around all others: when the end is told, the JUnit file is written.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        yield
        self.safely(self.finish, session, exitstatus)


FORKED = "pytest-forked: %d tests run in processes whose word a program under test can forge"


def is_forked(item):
    """Whether pytest-forked runs it in a process of its own, that by itself tells what came of it in a file."""
    config = item.config
    there = config.pluginmanager.hasplugin("pytest_forked")
    return there and bool(getattr(config.option, "forked", False) or item.get_closest_marker("forked"))


def hears_forks(plugins):
    """Sees to it that the processes of pytest-forked tell it over a pipe; false where that does not work."""
    plugin = plugins.get_plugin("pytest_forked")
    try:
        if plugin is None:
            return False
        # Here, since few suites need it.
        import ostest_forked

        return ostest_forked.install(plugin)
    except Exception:
        return False


def is_worker(config):
    """Whether this is one of the processes in which xdist runs the tests."""
    return hasattr(config, "workerinput") or "PYTEST_XDIST_WORKER" in os.environ


def is_distributed(config):
    """Whether xdist runs the tests in other processes."""
    option = config.option
    return (
        bool(getattr(option, "numprocesses", None))
        or bool(getattr(option, "tx", None))
        or getattr(option, "dist", "no") != "no"
    )


def kind_of(config):
    if not is_distributed(config):
        return Recorder
    # Here, since few suites need it.
    import ostest_xdist

    return ostest_xdist.Distributed


# The recorder of the last session.
LAST = None


def pytest_configure(config):
    global LAST
    try:
        # xdist would have its workers import it too, and they cannot.
        if NAME in (config.option.plugins or ()):
            config.option.plugins = [name for name in config.option.plugins if name != NAME]
        if is_worker(config):
            # What it tells the controller comes from forks of its own, maybe.
            hears_forks(config.pluginmanager)
            if CHANNEL is not None:
                CHANNEL.close()
            return
        if CHANNEL is None:
            return
        if LAST is not None and not LAST.finished:
            # A session within a session: a test of a plugin, say. It is that test's business.
            return
        LAST = recorder = kind_of(config)(CHANNEL, config, 0 if LAST is None else LAST.total)
        recorder.hello()
        config.pluginmanager.register(recorder, "ostest-events")
    except Exception:
        if CHANNEL is not None:
            CHANNEL.close()


# At once, before anything else of the suite is loaded.


def without_own(options):
    """PYTEST_ADDOPTS without what loads this file."""
    kept, rest = [], iter(shlex.split(options))
    for option in rest:
        if option == "-p":
            value = next(rest, None)
            kept.extend([] if value == NAME else [option] if value is None else [option, value])
        elif option != "-p" + NAME:
            kept.append(option)
    return " ".join(shlex.quote(option) for option in kept)


def take_back():
    """Takes out of the environment, for all children, what the runner put there for this file; returns its values."""
    taken = [os.environ.pop(name, "") for name in ("OSTEST_EVENTS", "OSTEST_SUITE", "OSTEST_WRITABLE")]
    # The guard of the environment has it, where there is one.
    taken[0] = taken[0] or getattr(sys.modules.get("ostest_guard"), "EVENTS", "")
    here = os.path.dirname(os.path.abspath(__file__))

    def is_other(path):
        return not path or os.path.abspath(path) != here

    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if not all(map(is_other, given)):
        # A folder of its own; in an environment's site-packages it is one among others.
        sys.path[:] = [path for path in sys.path if is_other(path)]
    left = {
        "PYTHONPATH": os.pathsep.join(filter(is_other, given)),
        "PYTEST_ADDOPTS": without_own(os.environ.get("PYTEST_ADDOPTS", "")),
    }
    for name, value in left.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    return taken


def hide_memory():
    """Makes the interpreter's memory and descriptors nobody's to look at, not even this user's other processes'."""
    try:
        import ctypes

        PR_SET_DUMPABLE = 4
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    except Exception:
        pass


# What was taken out of the environment and the workers of xdist need as well: their imports are guarded like this one's.
FOR_WORKERS = {}


def set_up():
    number, suite, writable = take_back()
    FOR_WORKERS.update({"OSTEST_SUITE": suite, "OSTEST_WRITABLE": writable})
    channel = None
    try:
        channel = Channel.open(number)
        if channel is not None:
            channel.ask("trust")
        # A worker of xdist tells what came of its tests over pipes of its own.
        if channel is not None or suite or writable or "PYTEST_XDIST_WORKER" in os.environ:
            hide_memory()
        folders = [folder for folder in writable.split(":") if folder]
        if suite or folders:
            ostest_imports.Guard(suite, folders, os.environ.get("OSTEST_OWN")).install()
            getattr(sys.modules.get("ostest_guard"), "uninstall", bool)()
    except Exception as error:
        # Without the guard there is no truth to tell; the runner then has the suite's own report only.
        print("%s: %s: %s" % (NAME, type(error).__name__, error), file=sys.stderr)
        return None
    return channel


CHANNEL = set_up()
