"""PYTEST_DONT_REWRITE. What a pytest session does, told to the runner as it happens, a line of JSON each.

pytest finds it by its entry point, or is told of it with `-p ostest_plugin`; the runner gives it one end of a stream
socket by number in OSTEST_EVENTS, and answers `start` and `end` with one byte each, so that it can look at the memory in
between. Nothing that a student's program does reaches the socket: children do not inherit it, the interpreter is not dumpable, and modules that were not
there when it started are not imported from the folders in OSTEST_SUITE and OSTEST_WRITABLE.

Promises: a mistake in here, or a runner that is gone, makes it silent and never changes what the suite does; an ending
that is not told counts as a failure there. Works with Python 3.7 and pytest 6 and later.
"""

import json
import os
import re
import select
import shlex
import stat
import sys
import types
from importlib import machinery, util

import pytest

NAME = "ostest_plugin"
# Bytes of one line, its end included; the list of cases comes in as many as it takes.
LONGEST_LINE = 60 << 10
# Bytes of a description, before JSON.
LONGEST_DESCRIPTION = 16 << 10
# Characters that are kept of each end of a name: more than the runner keeps.
LONGEST_NAME = 4 << 10
# Files and folders of the suite that are looked at; what lies behind that is not imported.
MOST_WALKED = 200000
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


class Recorder:
    """The hooks. Registered only where there is a channel and one process runs the tests."""

    def __init__(self, channel, config, first=0):
        self.channel = channel
        self.finished = False
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
        names = [case_name(nodeid, self.prefix) for nodeid, _ in self.broken]
        names.extend(case_name(item.nodeid, self.prefix) for item in items)
        first = self.collected(names)
        self.channel.tell("begin", count=self.total)
        for index, (_, found) in enumerate(self.broken, first):
            self.start(index)
            self.end(index, found[0], 0.0, describe([found]))
        # The items are held, so that no other object ever has the identity of one.
        self.known = {id(item): (at, item) for at, item in enumerate(items, first + len(self.broken))}

    def start(self, index):
        self.channel.ask("start", case=index)

    def end(self, index, outcome, duration, description):
        self.channel.ask("end", case=index, outcome=outcome, duration=round(duration, 6), description=description)

    def begin_case(self, item):
        index, _ = self.known.get(id(item), (None, None))
        if index is None:
            index = self.collected([case_name(item.nodeid, self.prefix)])
            self.known[id(item)] = (index, item)
        self.current = {"index": index, "nodeid": item.nodeid, "problems": [], "passed": False, "duration": 0.0}
        self.start(index)

    def end_case(self):
        case, self.current = self.current, None
        if case is None:
            return
        problems = case["problems"]
        if not problems and not case["passed"]:
            problems = [("errored", "pytest reported no result", "", "")]
        outcome = max([found[0] for found in problems] or ["passed"], key=SEVERITY.get)
        self.end(case["index"], outcome, case["duration"], describe(problems))

    def add_report(self, report):
        case = self.current
        if case is None or report.nodeid != case["nodeid"]:
            return
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


def is_distributed(config):
    """Whether xdist runs the tests in other processes, or this is one of those."""
    option = config.option
    return (
        hasattr(config, "workerinput")
        or "PYTEST_XDIST_WORKER" in os.environ
        or bool(getattr(option, "numprocesses", None))
        or bool(getattr(option, "tx", None))
        or getattr(option, "dist", "no") != "no"
    )


# The recorder of the last session.
LAST = None


def pytest_configure(config):
    global LAST
    try:
        # xdist would have its workers import it too, and they cannot.
        if NAME in (config.option.plugins or ()):
            config.option.plugins = [name for name in config.option.plugins if name != NAME]
        if CHANNEL is None:
            return
        if is_distributed(config):
            CHANNEL.close()
            return
        if LAST is not None and not LAST.finished:
            # A session within a session: a test of a plugin, say. It is that test's business.
            return
        LAST = recorder = Recorder(CHANNEL, config, 0 if LAST is None else LAST.total)
        recorder.hello()
        config.pluginmanager.register(recorder, "ostest-events")
    except Exception:
        if CHANNEL is not None:
            CHANNEL.close()


# The guard of imports.

SOURCES = tuple(machinery.SOURCE_SUFFIXES)
EXTENSIONS = tuple(machinery.EXTENSION_SUFFIXES)
ARCHIVES = (".zip", ".egg", ".whl", ".pyz")


def identity(path):
    """Which file it is and that nobody has changed it: the time of its last change cannot be set back."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def owned(suite, listed):
    """The suite's own files, by the runner's list; none of them where that cannot be read."""
    try:
        with open(listed, "rb") as names:
            return {os.path.join(os.path.realpath(suite), os.fsdecode(name)) for name in names.read().split(b"\0")}
    except OSError:
        return set()


class Guard:
    """What may be imported: from the suite what was there before any test and has not changed since, from the folders
    that a student's program writes to nothing, from elsewhere all. Bytecode only from elsewhere."""

    def __init__(self, suite, writable, listed=None):
        self.own = owned(suite, listed) if suite and listed else None
        self.suites = {os.path.abspath(suite), os.path.realpath(suite)} if suite else set()
        self.roots = [path for folder in writable for path in {os.path.abspath(folder), os.path.realpath(folder)}]
        # The innermost folder decides, so the longest comes first; the suite before a folder of the same name.
        self.roots = sorted(set(self.roots) - self.suites | self.suites, key=len, reverse=True)
        self.files = {}
        self.folders = set()
        if suite:
            self.walk(os.path.realpath(suite))

    def walk(self, top):
        left, walked = [top], 0
        while left:
            folder = left.pop()
            self.folders.add(folder)
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            walked += len(entries)
            if walked > MOST_WALKED:
                return
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in (".git", "__pycache__"):
                        left.append(entry.path)
                elif entry.name.endswith(SOURCES + EXTENSIONS + ARCHIVES) and self.is_own(entry.path):
                    self.files[entry.path] = identity(entry.path)

    def is_own(self, path):
        """Whether it is the suite's: a student's program may have run before this one began."""
        return self.own is None or path in self.own

    def root(self, path):
        for root in self.roots:
            if path == root or path.startswith(root.rstrip("/") + "/"):
                return root
        return None

    def covers(self, path):
        """Whether the path is in one of the folders, as it is written or as it is meant."""
        path = os.path.abspath(path)
        return self.root(path) is not None or self.root(os.path.realpath(path)) is not None

    def allows(self, path):
        path = os.path.abspath(path)
        folder, name = os.path.split(path)
        place, real = os.path.join(os.path.realpath(folder), name), os.path.realpath(path)
        if self.root(place) is None and self.root(path) is not None:
            return False
        for spot in {place, real}:
            root = self.root(spot)
            if root is None:
                continue
            known = self.files.get(spot)
            if root not in self.suites or known is None or known != identity(spot):
                return False
        return True

    def allows_folder(self, path):
        return os.path.realpath(path) in self.folders

    def refuse(self, path):
        raise ImportError("the runner refuses %s: it was not there before the tests, or has changed" % path, path=path)

    def install(self):
        sys.dont_write_bytecode = True
        sys.path_hooks.insert(0, self.path_hook)
        for path in list(sys.path_importer_cache):
            if self.covers(path):
                del sys.path_importer_cache[path]
        self.guard_loaders()
        self.guard_rewriting()
        self.guard_conftests()

    def guard_conftests(self):
        """A folder among pytest's arguments, `--src FOLDER` say, is searched for a conftest.py before anything knows
        what the option means. One of a student's is nobody's business: as if it were empty."""
        from _pytest.config import PytestPluginManager

        load = PytestPluginManager._importconftest

        def importconftest(manager, conftestpath, *args, **named):
            root = self.root(os.path.realpath(str(conftestpath)))
            if root is not None and root not in self.suites:
                return types.ModuleType("conftest")
            return load(manager, conftestpath, *args, **named)

        PytestPluginManager._importconftest = importconftest

    def path_hook(self, path):
        """For `sys.path_hooks`: a folder that is covered is searched here, for what is allowed."""
        path = os.path.abspath(path)
        if not self.covers(path) or path.endswith(ARCHIVES) and self.allows(path):
            raise ImportError("not guarded", path=path)
        return Finder(self, path)

    def guard_loaders(self):
        """Whoever gets a loader from elsewhere, `spec_from_file_location` say, meets the same rules."""
        source, sourceless, extension = (
            machinery.SourceFileLoader,
            machinery.SourcelessFileLoader,
            machinery.ExtensionFileLoader,
        )
        source_code, sourceless_code, create = source.get_code, sourceless.get_code, extension.create_module

        def get_source_code(loader, fullname):
            path = loader.get_filename(fullname)
            if not self.covers(path):
                return source_code(loader, fullname)
            data = loader.get_data(path)
            # After it was read: what was exchanged meanwhile is not the same file any more.
            if not self.allows(path):
                self.refuse(path)
            return loader.source_to_code(data, path)

        def get_sourceless_code(loader, fullname):
            path = loader.get_filename(fullname)
            return self.refuse(path) if self.covers(path) else sourceless_code(loader, fullname)

        def create_module(loader, spec):
            if self.covers(spec.origin) and not self.allows(spec.origin):
                self.refuse(spec.origin)
            return create(loader, spec)

        source.get_code, sourceless.get_code = get_source_code, get_sourceless_code
        extension.create_module = create_module

    def guard_rewriting(self):
        """pytest keeps bytecode of what it rewrites, and reads sources, by itself."""
        from _pytest.assertion import rewrite

        read, test = getattr(rewrite, "_read_pyc", None), getattr(rewrite, "_rewrite_test", None)
        if read is None or test is None:
            # A version unknown today: no bytecode at all rather than a student's.
            sys.pycache_prefix = os.path.join(os.path.abspath(os.sep), "nonexistent")
            return

        def read_pyc(path, pyc, *args, **named):
            if self.covers(str(path)) or self.covers(str(pyc)):
                return None
            return read(path, pyc, *args, **named)

        def rewrite_test(path, *args, **named):
            rewritten = test(path, *args, **named)
            if self.covers(str(path)) and not self.allows(str(path)):
                self.refuse(str(path))
            return rewritten

        rewrite._read_pyc, rewrite._rewrite_test = read_pyc, rewrite_test


class Finder(machinery.FileFinder):
    """Searches one folder for what the guard allows. The kind of FileFinder that `pkgutil` knows."""

    LOADERS = [(suffix, machinery.ExtensionFileLoader) for suffix in EXTENSIONS] + [
        (suffix, machinery.SourceFileLoader) for suffix in SOURCES
    ]

    def __init__(self, guard, path):
        machinery.FileFinder.__init__(self, path)
        self.guard = guard

    def find_spec(self, fullname, target=None):
        base = os.path.join(self.path, fullname.rpartition(".")[2])
        for inner, places in (("/__init__", [base]), ("", None)):
            for suffix, loader in self.LOADERS:
                path = base + inner + suffix
                if os.path.exists(path) and self.guard.allows(path):
                    made = loader(fullname, path)
                    return util.spec_from_file_location(
                        fullname, path, loader=made, submodule_search_locations=places
                    )
        if self.guard.allows_folder(base) and os.path.isdir(base):
            spec = machinery.ModuleSpec(fullname, None)
            spec.submodule_search_locations = [base]
            return spec
        return None


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


def set_up():
    number, suite, writable = take_back()
    channel = None
    try:
        channel = Channel.open(number)
        if channel is not None or suite or writable:
            hide_memory()
        folders = [folder for folder in writable.split(":") if folder]
        if suite or folders:
            Guard(suite, folders, os.environ.get("OSTEST_OWN")).install()
            getattr(sys.modules.get("ostest_guard"), "uninstall", bool)()
    except Exception as error:
        # Without the guard there is no truth to tell; the runner then has the suite's own report only.
        print("%s: %s: %s" % (NAME, type(error).__name__, error), file=sys.stderr)
        return None
    return channel


CHANNEL = set_up()
