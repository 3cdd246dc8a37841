"""Records a session of pytest-xdist. The controller hears its workers over pipes that no other program has, and sends their events to
the runner. Its tests run at the same time, so that memory cannot be attributed to one of them. The plugin imports this where it is needed.
"""

import ostest_workers
import pytest
from ostest_recorder import FOR_WORKERS, FORKED, Recorder, use_pipes_for_forks, new_case
from ostest_results import case_name

DISTRIBUTED = "pytest-xdist: the tests run at the same time, so memoryUsed is 0, because nothing was measured"
LATE = "it ran in a process of pytest-xdist that started while a program under test ran, so its result cannot be trusted"
SEEN = "pytest-xdist: other programs can read its processes while they start, so a program that ran before can forge their results"


class Distributed(Recorder):
    """The hooks of the controller."""

    def __init__(self, *args):
        Recorder.__init__(self, *args)
        # Indexes of cases that have not started, and running cases, by node id.
        self.left = {}
        self.running = {}
        # Workers that started when a program under test could be running, and that this program could have read before they were hidden.
        self.late = set()
        self.early = True
        self.seen = False

    def begin_nodes(self, nodeids):
        """Sends the list of the first worker. xdist makes sure that all workers have the same list."""
        if self.begun:
            return
        self.begun = True
        self.channel.send("doubt", why=DISTRIBUTED)
        if self.plugins.has_plugin("pytest_forked") and not use_pipes_for_forks(self.plugins):
            self.channel.send("doubt", why=FORKED % len(nodeids))
        for index, nodeid in enumerate(nodeids, self.list(nodeids)):
            self.left.setdefault(nodeid, []).append(index)

    def start(self, index):
        self.channel.send("start", case=index, alone=False)

    def end(self, index, outcome, duration, description):
        duration = round(duration, 6)
        values = {"outcome": outcome, "duration": duration, "description": description}
        self.channel.send("end", case=index, alone=False, **values)

    def begin_nodeid(self, nodeid):
        self.early = False
        if nodeid in self.running:
            return
        indices = self.left.get(nodeid)
        index = indices.pop(0) if indices else self.collected([case_name(nodeid, self.prefix)])
        self.running[nodeid] = new_case(index, nodeid)
        self.start(index)

    def end_nodeid(self, nodeid):
        case = self.running.pop(nodeid, None)
        if case is not None:
            self.send_end(case)

    def add_report(self, report):
        # If the worker has crashed, the report comes from xdist itself and the case may not have started.
        self.begin_nodeid(report.nodeid)
        case = self.running[report.nodeid]
        self.add_to(case, report)
        if getattr(report, "node", None) in self.late and LATE not in [problem[1] for problem in case["problems"]]:
            case["problems"].append(("errored", LATE, "", ""))

    def finish(self, session, exitstatus):
        for nodeid, case in list(self.running.items()):
            if case["problems"]:
                self.end_nodeid(nodeid)
        Recorder.finish(self, session, exitstatus)

    def hide_workers(self):
        environment = {name: value for name, value in FOR_WORKERS.items() if value}
        try:
            ostest_workers.hide(self.plugins.getplugin("dsession").nodemanager.group, environment)
        except ostest_workers.Disturbed:
            # A program under test that runs now has caused this, so all workers are late.
            self.early = False
        except AttributeError:
            # A version of xdist with other internals: each worker counts as not hidden.
            pass

    def add_worker(self, node):
        """Adds a worker that has started and runs nothing of the suite yet."""
        if not ostest_workers.is_hidden(node.gateway):
            return self.add_seen(node)
        pid = ostest_workers.pid_of(node.gateway)
        if pid is not None:
            # Only for a worker whose identity is certain.
            self.channel.ask("trust", pid=pid)

    def add_seen(self, node):
        if not self.early:
            self.late.add(node)
        elif not self.seen:
            self.seen = True
            self.channel.send("doubt", why=SEEN)

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
