"""One node under supervision: its state machine, its process, its block in the vitals, and its hang watch."""

from __future__ import annotations

import os
import random
from typing import Any

from cardan.runtime.bus.ring_ends import WakeFds
from cardan.runtime.clock import Clock
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.run import RunPaths
from cardan.runtime.supervise.child import ACTIVE, Action, Child, Ending, Happening, Rules
from cardan.runtime.supervise.events import Code, EventLog
from cardan.runtime.supervise.groups import NodeGroup
from cardan.runtime.supervise.hang import EASY_LOOK_NS, HangWatch, Steps
from cardan.runtime.supervise.node_group import WatchedGroup
from cardan.runtime.supervise.sources import Sources
from cardan.runtime.supervise.spare import Spare
from cardan.runtime.supervise.spawn import NodeProcessHandle, start_node
from cardan.runtime.supervise.verdict import Standing
from cardan.runtime.vitals import NodeState, NodeVitals

READY = b"1"
NO_PROCESS = 71
"""Exit code of a start for which the kernel gave no process (EX_OSERR of sysexits.h)."""


class Member:
    """Carries out what the node's state machine decides, and tells it what happens to the process."""

    def __init__(
        self,
        plan: Plan,
        node: NodePlan,
        paths: RunPaths,
        vitals: NodeVitals,
        clock: Clock,
        log: EventLog,
        sources: Sources,
        wake: WakeFds,
        group: NodeGroup | None = None,
    ) -> None:
        self._plan = plan
        self._node = node
        self._paths = paths
        self._vitals = vitals
        self._clock = clock
        self._log = log
        self._sources = sources
        self._wake = wake
        self._group = WatchedGroup(group, node, vitals)
        self._handle: NodeProcessHandle | None = None
        self._spare = Spare(node.standby, self._make_spare, sources)
        self._watch: HangWatch | None = None
        self.child = Child(Rules.of(node), random.random, self._note)

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def pid(self) -> int:
        """Its process; 0 while it has none."""
        return self._handle.pid if self._handle else 0

    @property
    def pids(self) -> set[int]:
        """Its process and its spare one."""
        return {self.pid, self._spare.pid} - {0}

    @property
    def standing(self) -> Standing:
        """Where it stands, for the verdict on the run."""
        child, faulty = self.child, bool(self._vitals.words[NodeVitals.FAULT_NS])
        return Standing(child.state, child.starts > 1 or child.crashes > 0, faulty)

    @property
    def cause(self) -> str:
        """One line on why it failed: what, where, what it said itself, where to read on."""
        fault = self._vitals.fault
        said = f" ({fault[1]}: {fault[2]})" if fault else ""
        role = "critical node" if self._node.critical else "node"
        return (
            f'{role} "{self.name}" failed: {self.child.why_failed}{said}; hint: see {self._paths.logs}/{self.name}.log'
        )

    def happen(self, what: Happening, **detail: Any) -> None:
        """Tell the state machine, and do what it says."""
        if what in (Happening.RETIRE, Happening.STOP):
            self._spare.close()
        for action in self.child.happen(what, self._clock.now_ns(), **detail):
            self._do(action)
        self._publish()

    def tick(self, now_ns: int) -> None:
        """Let a deadline that has come have its effect."""
        if self.child.due_ns is not None and now_ns >= self.child.due_ns:
            self.happen(Happening.DUE)

    def look(self, now_ns: int) -> None:
        """Look for a sign of life in the vitals, and at what the node takes."""
        self._group.look(now_ns)
        self._spare.look(now_ns, self.child.state is NodeState.RUNNING)
        watch = self._watch
        if watch is None or self.child.state not in ACTIVE or not watch.is_due(now_ns):
            return
        if watch.is_hung(self._steps(), now_ns):
            self._note(Code.NODE_HUNG, silent_ms=watch.silent_ns / 1e6, limit_ms=watch.limit_ns / 1e6)
            self.happen(Happening.SILENT)
        elif watch.is_late is not (self.child.state is NodeState.LATE):
            self.happen(Happening.LATE if watch.is_late else Happening.ON_TIME)

    @property
    def look_every_ns(self) -> int:
        """How often it wants to be looked at."""
        return EASY_LOOK_NS if self._watch is None else self._watch.look_every_ns

    def kill(self) -> None:
        """End its process now, whatever it is doing."""
        self._spare.close()
        if self._handle is not None:
            self._handle.kill()

    def _do(self, action: Action) -> None:
        if action is Action.START:
            self._start()
        elif self._handle is None:
            return
        elif action is Action.GO:
            self._watch = HangWatch(self._node, self._is_fifo(self._handle.pid), self._steps(), self._clock.now_ns())
            self._handle.go()
        elif action is Action.TERMINATE:
            self._handle.terminate()
        else:
            self._handle.kill()

    def _start(self) -> None:
        words = self._vitals.words
        words[NodeVitals.STARTS], words[NodeVitals.STARTED_NS] = self.child.starts, self._clock.now_ns()
        try:
            starts = self.child.starts
            group = self._group.for_start(starts)
            handle = self._spare.take_or_none(starts, group)
            by = self._node.process if handle is None else "the spare process"
            handle = handle or start_node(self._plan, self._node, self._paths, starts, self._wake, group)
        except OSError as error:
            self._note(Code.NODE_START_FAILED, error=str(error))
            self.happen(Happening.EXITED, exit_code=NO_PROCESS)
            return
        self._handle = handle
        words[NodeVitals.PID] = handle.pid
        self._note(Code.NODE_START, starts=self.child.starts, pid=handle.pid, process=by)
        self._sources.add(handle.pidfd, self._on_exit)
        self._sources.add(handle.ready_fd, self._on_news)

    def _make_spare(self) -> NodeProcessHandle:
        return start_node(self._plan, self._node, self._paths, 0, self._wake, standby=True)

    def _on_news(self) -> None:
        handle = self._handle
        news = handle.read_news() if handle else None
        if handle is None or news is None:
            return
        if not news:
            self._sources.remove(handle.ready_fd)
        for value in news:
            self._take_news(bytes([value]))

    def _take_news(self, news: bytes) -> None:
        ending = next((ending for ending in Ending if ending.value == news), None)
        if ending is not None:
            self.happen(Happening.ENDING, ending=ending)
        if news != READY:
            return
        words, now_ns = self._vitals.words, self._clock.now_ns()
        words[NodeVitals.READY_NS] = now_ns
        self._note(Code.NODE_READY, after_ms=(now_ns - words[NodeVitals.STARTED_NS]) / 1e6)
        self.happen(Happening.READY)

    def _on_exit(self) -> None:
        self._on_news()
        handle, self._handle, self._watch = self._handle, None, None
        if handle is None:
            return
        self._sources.remove(handle.pidfd)
        self._sources.remove(handle.ready_fd)
        exit_code = handle.reap()
        if self._group.take_stock():
            self._note(Code.NODE_OUT_OF_MEMORY, limit_mib=self._vitals.words[NodeVitals.MEMORY_MAX_KIB] / 1024)
        self._vitals.words[NodeVitals.PID] = 0
        self._vitals.words[NodeVitals.EXIT_CODE] = exit_code
        self.happen(Happening.EXITED, exit_code=exit_code)

    def _publish(self) -> None:
        words = self._vitals.words
        words[NodeVitals.STATE] = self.child.state
        words[NodeVitals.CRASHES], words[NodeVitals.HANGS] = self.child.crashes, self.child.hangs
        words[NodeVitals.LATES] = self.child.lates

    def _steps(self) -> Steps:
        words = self._vitals.words
        return Steps(words[NodeVitals.STEPS], words[NodeVitals.STEP_START_NS], words[NodeVitals.STEP_END_NS])

    def _is_fifo(self, pid: int) -> bool:
        """Whether the node has the scheduler it asked for, as the kernel says."""
        try:
            return os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO
        except ProcessLookupError:
            return False

    def _note(self, code: Code, **fields: Any) -> None:
        self._log.write(code, self.name, **fields)
