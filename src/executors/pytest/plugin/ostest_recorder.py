"""Records a pytest session: its hooks send the events of the session to the runner. Works with Python 3.7 and pytest 6 and later."""

import json
import os

import pytest
from ostest_results import case_name, describe, problem

# Maximum bytes of one line, its end included. The list of cases is split into lines of this length.
MAX_LINE = 60 << 10
SEVERITY = {"passed": 0, "skipped": 1, "failed": 2, "errored": 3}
# Variables that the plugin removes from the environment and that the workers of xdist need: they guard their imports as this process does.
FOR_WORKERS = {}

# The doubt about tests that run in forks.
FORKED = "pytest-forked: %d tests run in processes whose results the program under test can forge"


def is_forked(item):
    """Whether pytest-forked runs the item in a separate process."""
    config = item.config
    installed = config.pluginmanager.hasplugin("pytest_forked")
    return installed and bool(getattr(config.option, "forked", False) or item.get_closest_marker("forked"))


def use_pipes_for_forks(plugins):
    """Makes the processes of pytest-forked send their results over a pipe; returns False if that is not possible."""
    plugin = plugins.get_plugin("pytest_forked")
    try:
        if plugin is None:
            return False
        # Imported here because few suites need it.
        import ostest_forked

        return ostest_forked.install(plugin)
    except Exception:
        return False


def new_case(index, nodeid):
    return {"index": index, "nodeid": nodeid, "problems": [], "passed": False, "duration": 0.0}


class Recorder:
    """The hooks of a process that runs tests. The plugin registers them if there is a channel."""

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
        # The indexes of cases continue through all sessions of the interpreter.
        self.total = first
        self.current = None

    def hello(self):
        self.channel.send("hello", version=1, pytest=str(pytest.__version__), pid=os.getpid())

    def collected(self, names):
        """Sends names of cases in lines of limited length; returns the index of the first case."""
        first = self.total
        self.total += len(names)
        chunk, size = [], 0
        for name in names:
            length = len(json.dumps(name)) + 1
            if chunk and size + length > MAX_LINE - 100:
                self.channel.send("collected", cases=chunk)
                chunk, size = [], 0
            chunk.append(name)
            size += length
        if chunk:
            self.channel.send("collected", cases=chunk)
        return first

    def begin(self, items):
        """Sends the list of all cases, and the results of those that failed during collection."""
        if self.begun:
            return
        self.begun = True
        forked = sum(map(is_forked, items))
        if not use_pipes_for_forks(self.plugins) and forked:
            self.channel.send("doubt", why=FORKED % forked)
        first = self.list([item.nodeid for item in items])
        # The items are stored too, so that no other object can get the id of one.
        self.known = {id(item): (at, item) for at, item in enumerate(items, first)}

    def list(self, nodeids):
        """Sends all cases, first those that failed during collection; returns the index of the first other case."""
        names = [case_name(nodeid, self.prefix) for nodeid, _ in self.broken]
        names.extend(case_name(nodeid, self.prefix) for nodeid in nodeids)
        first = self.collected(names)
        self.channel.send("begin", count=self.total)
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
            self.send_end(case)

    def send_end(self, case):
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
        # A plugin that repeats a test gives the earlier outcomes other names.
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
        self.channel.send("finish", exit=int(getattr(session, "exitstatus", exitstatus)))
        self.finished = True

    def safely(self, action, *args):
        """Runs `action`; an error in it closes the channel and does not reach the suite."""
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
        # An exception here is an interrupt or pytest.exit: the case has not ended.
        if result.excinfo is None:
            self.safely(self.end_case)

    def pytest_runtest_logreport(self, report):
        self.safely(self.add_report, report)

    def pytest_internalerror(self, excrepr):
        self.safely(self.add_internal_error, str(excrepr))

    # Around all other hooks, so that the JUnit file is written before the end is sent.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session, exitstatus):
        yield
        self.safely(self.finish, session, exitstatus)
