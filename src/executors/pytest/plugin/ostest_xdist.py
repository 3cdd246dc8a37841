"""What pytest-xdist's workers say, told to the runner by the controller, that hears it over pipes which no other program has.
Cases run beside each other there, so that nobody can say whose the memory is. Loaded by the plugin where it is needed.
"""

import ostest_plugin
import ostest_workers
import pytest

DISTRIBUTED = "pytest-xdist: the tests run beside each other, so that memoryUsed is 0, for nothing was measured"
LATE = "it ran in a process of pytest-xdist that began beside a program under test, whose word counts for nothing"
SEEN = "pytest-xdist: its processes can be looked into as they begin, so that a program that ran before can speak for them"


class Distributed(ostest_plugin.Recorder):
    """The plugin's hooks on the controller."""

    def __init__(self, *args):
        ostest_plugin.Recorder.__init__(self, *args)
        # Indices of cases that have not begun, and the cases that run, each by their node id.
        self.left = {}
        self.running = {}
        # Workers that a program may have met before they could not be looked into, where it had the means to bring that about.
        self.late = set()
        self.early = True
        self.seen = False

    def begin_nodes(self, nodeids):
        """What the first worker has collected; xdist sees to it that all have the same."""
        if self.begun:
            return
        self.begun = True
        self.channel.tell("doubt", why=DISTRIBUTED)
        if self.plugins.has_plugin("pytest_forked") and not ostest_plugin.hears_forks(self.plugins):
            self.channel.tell("doubt", why=ostest_plugin.FORKED % len(nodeids))
        for index, nodeid in enumerate(nodeids, self.list(nodeids)):
            self.left.setdefault(nodeid, []).append(index)

    def start(self, index):
        self.channel.tell("start", case=index, alone=False)

    def end(self, index, outcome, duration, description):
        duration = round(duration, 6)
        values = {"outcome": outcome, "duration": duration, "description": description}
        self.channel.tell("end", case=index, alone=False, **values)

    def begin_nodeid(self, nodeid):
        self.early = False
        if nodeid in self.running:
            return
        indices = self.left.get(nodeid)
        index = indices.pop(0) if indices else self.collected([ostest_plugin.case_name(nodeid, self.prefix)])
        self.running[nodeid] = ostest_plugin.new_case(index, nodeid)
        self.start(index)

    def end_nodeid(self, nodeid):
        case = self.running.pop(nodeid, None)
        if case is not None:
            self.tell_end(case)

    def add_report(self, report):
        # Of one whose worker crashed, which xdist itself reports.
        self.begin_nodeid(report.nodeid)
        case = self.running[report.nodeid]
        self.add_to(case, report)
        if getattr(report, "node", None) in self.late and LATE not in [problem[1] for problem in case["problems"]]:
            case["problems"].append(("errored", LATE, "", ""))

    def finish(self, session, exitstatus):
        for nodeid, case in list(self.running.items()):
            if case["problems"]:
                self.end_nodeid(nodeid)
        ostest_plugin.Recorder.finish(self, session, exitstatus)

    def hide_workers(self):
        environment = {name: value for name, value in ostest_plugin.FOR_WORKERS.items() if value}
        try:
            ostest_workers.hide(self.plugins.getplugin("dsession").nodemanager.group, environment)
        except ostest_workers.Disturbed:
            # Whoever did that is a program under test that runs beside them: they are all late.
            self.early = False
        except AttributeError:
            # A version that is made in another way: it is said of each worker that it was not hidden.
            pass

    def add_worker(self, node):
        """One that has begun, and runs nothing of the suite yet."""
        if not ostest_workers.is_hidden(node.gateway):
            return self.add_seen(node)
        pid = ostest_workers.pid_of(node.gateway)
        if pid is not None:
            # Only one that nobody else can be.
            self.channel.ask("trust", pid=pid)

    def add_seen(self, node):
        if not self.early:
            self.late.add(node)
        elif not self.seen:
            self.seen = True
            self.channel.tell("doubt", why=SEEN)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self):
        self.safely(self.hide_workers)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        self.safely(self.add_worker, node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        self.safely(self.begin_nodes, ids)

    def pytest_runtest_logstart(self, nodeid):
        self.safely(self.begin_nodeid, nodeid)

    def pytest_runtest_logfinish(self, nodeid):
        self.safely(self.end_nodeid, nodeid)
