"""The supervisor: one thread that waits for its nodes, for signals and for deadlines, and never for anything else."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from cardan.runtime.clock import NS_PER_S, MonotonicClock, ns
from cardan.runtime.modes import NORMAL, Mode
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.run import RunPaths
from cardan.runtime.supervise import kernel
from cardan.runtime.supervise.child import Happening
from cardan.runtime.supervise.events import Code, EventLog
from cardan.runtime.supervise.groups import RunGroups
from cardan.runtime.supervise.lifeline import Lifeline
from cardan.runtime.supervise.member import Member
from cardan.runtime.supervise.node_group import enable_limits
from cardan.runtime.supervise.notify import take_wishes
from cardan.runtime.supervise.one_line import verdict
from cardan.runtime.supervise.order import Wave, stop_waves
from cardan.runtime.supervise.preload import preload, use_one_thread
from cardan.runtime.supervise.sources import Sources
from cardan.runtime.supervise.spawn import SIGNALS_OF_SUPERVISOR
from cardan.runtime.supervise.verdict import Standing, judge, may_begin
from cardan.runtime.supervise.wakers import Wakers
from cardan.runtime.supervise.wakeup_latency import WakeupLatency, hold_or_none
from cardan.runtime.vitals import RunState, Vitals

GUARDIAN_LOST = signal.SIGUSR1
"""Sent by the kernel when the guardian dies."""
ORPHAN_LIMIT_NS = ns(1.0)
"""Without a guardian the run has this long to stop in order."""
REAP_NS = ns(0.5)
"""How often to look for processes that nodes have left behind and that have ended."""


class Supervisor:
    """Runs one plan from the first start to the last exit. `run()` is called once, in the main thread.

    groups: the control groups of the run, or why there are none. echo: gets the level and the text of each event.
    """

    def __init__(
        self,
        plan: Plan,
        paths: RunPaths,
        vitals: Vitals,
        guardian_pid: int,
        groups: RunGroups | str,
        echo: Callable[[str, str], None] | None = None,
    ) -> None:
        self._plan = plan
        self._vitals = vitals
        self._guardian_pid = guardian_pid
        self._clock = MonotonicClock()
        self._log = EventLog(paths.logs / "supervisor.log", self._clock, echo)
        self._lifeline = Lifeline(plan, vitals, take_wishes(os.environ), self._log.write)
        self._sources = Sources()
        self._wakers = Wakers(plan)
        vitals.set_groups_text(enable_limits(plan, groups))
        self._groups = None if isinstance(groups, str) else groups
        self._members = {node.name: self._member(node, paths) for node in plan.nodes}
        self._started_ns = self._clock.now_ns()
        self._next_look_ns = self._next_reap_ns = self._started_ns
        self._began = False
        self._failed = False
        self._seen: list[Standing] = []
        self._mode = NORMAL
        self._stopping = False
        self._waves: deque[Wave] = deque()
        self._asked: list[Member] = []
        self._asked_ns = 0
        self._kill_at_ns: int | None = None
        self._latency: WakeupLatency | None = None

    def _member(self, node: NodePlan, paths: RunPaths) -> Member:
        """A node with its control group, where there is one and the kernel makes it."""
        vitals, group = self._vitals.nodes[node.name], None
        with suppress(OSError):
            group = self._groups.node(node.name) if self._groups is not None else None
        wake = self._wakers.of(node.name)
        return Member(self._plan, node, paths, vitals, self._clock, self._log, self._sources, wake, group)

    def run(self) -> int:
        """Returns the exit code: 0 after an orderly end, 1 when the run failed."""
        kernel.adopt_orphans()
        use_one_thread()
        self._hold_wakeup_latency()
        self._start(lambda node: node.process == "exec")  # these need nothing of ours: they load while we do
        self._load()
        self._listen()
        self._start(lambda node: node.process != "exec")
        while not (self._stopping and not any(member.child.live for member in self._members.values())):
            self._sources.wait((self._wake_up_ns() - self._clock.now_ns()) / NS_PER_S)
            self._cycle(self._clock.now_ns())
        return self._end()

    def _hold_wakeup_latency(self) -> None:
        wished_us = self._plan.profile.realtime.wakeup_latency_us
        self._latency, error = hold_or_none(wished_us)
        self._vitals.words[Vitals.WAKEUP_LATENCY_US] = -1 if self._latency is None else self._latency.holds_us
        if self._latency is not None:
            self._log.write(Code.WAKEUP_LATENCY, holds_us=self._latency.holds_us, wished_us=wished_us)
        elif error:
            self._log.write(Code.WAKEUP_LATENCY_MISSING, error=error)

    def _start(self, wanted: Callable[[NodePlan], bool]) -> None:
        for node in filter(wanted, self._plan.nodes):
            self._members[node.name].happen(Happening.START)

    def _load(self) -> None:
        preload(self._plan)
        loaded_ms = (self._clock.now_ns() - self._started_ns) / 1e6
        self._log.write(Code.RUN_STARTING, nodes=len(self._members), vehicle=self._plan.name, loaded_ms=loaded_ms)
        self._log.write(Code.RUN_GROUPS, groups=self._vitals.groups_text)
        if kernel.thread_count() > 1:
            self._log.write(Code.RUN_THREADS, threads=kernel.thread_count())

    def _listen(self) -> None:
        """Signals become bytes in a pipe; those that came earlier have waited, blocked by the guardian."""
        readable, writable = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        for number in SIGNALS_OF_SUPERVISOR:
            signal.signal(number, lambda *_: None)
        self._sources.add(readable, lambda: self._on_signals(os.read(readable, 64)))
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _on_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGINT and self._stopping:
                self._failed = True
                self._kill_at_ns = self._clock.now_ns()
            elif number == GUARDIAN_LOST:
                self._on_guardian_lost()
            else:
                self._stop(signal.Signals(number).name)

    def _on_guardian_lost(self) -> None:
        if os.getppid() == self._guardian_pid:
            return
        self._log.write(Code.RUN_GUARDIAN_LOST)
        self._kill_at_ns = self._clock.now_ns() + ORPHAN_LIMIT_NS
        self._stop("the guardian is dead")

    def _cycle(self, now_ns: int) -> None:
        """Everything that depends on time or on what has just happened."""
        for member in self._members.values():
            member.tick(now_ns)
        if now_ns >= self._next_look_ns:
            self._look(now_ns)
        if self._kill_at_ns is not None and now_ns >= self._kill_at_ns:
            self._kill_all()
        self._advance_stop(now_ns)
        self._review(now_ns)

    def _look(self, now_ns: int) -> None:
        self._vitals.words[Vitals.HEARTBEAT_NS] = now_ns
        for member in self._members.values():
            member.look(now_ns)
        self._next_look_ns = now_ns + min(member.look_every_ns for member in self._members.values())
        self._lifeline.look(now_ns)
        if now_ns >= self._next_reap_ns:
            self._next_reap_ns = now_ns + REAP_NS
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        """Take the exit of what a node has started and left behind; the nodes' own exits stay for their members."""
        own = set().union(*(member.pids for member in self._members.values()))
        with suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and ended.si_pid not in own:
                os.waitpid(ended.si_pid, 0)

    def _review(self, now_ns: int) -> None:
        """Draw the consequences when a node stands where it did not."""
        seen = [member.standing for member in self._members.values()]
        if seen == self._seen or self._stopping:
            return
        self._seen = seen
        self._next_look_ns = now_ns  # others want to hear of it now
        standings = dict(zip(self._members, seen, strict=True))
        if not self._began and may_begin(self._plan, standings):
            self._begin(now_ns)
        if self._began:
            for member in self._members.values():
                member.happen(Happening.GO)
        self._apply(standings, now_ns)

    def _begin(self, now_ns: int) -> None:
        self._began = True
        self._log.write(Code.RUN_BEGAN, after_ms=(now_ns - self._started_ns) / 1e6)

    def _apply(self, standings: dict[str, Standing], now_ns: int) -> None:
        verdict = judge(self._plan, standings, self._began)
        if verdict.failed and not self._vitals.cause:
            cause = self._members[verdict.failed[0]].cause
            self._vitals.report_cause(now_ns, cause, Code.NODE_GAVE_UP.code)
            self._log.write(Code.RUN_CAUSE, verdict.failed[0], cause=cause)
        self._set_mode(verdict.mode, now_ns)
        self._failed = self._failed or verdict.state is RunState.FAILED
        self._set_state(verdict.state)
        if verdict.stop:
            self._stop(verdict.stop)

    def _set_mode(self, mode: Mode, now_ns: int) -> None:
        """Tell everybody what the vehicle can still do; for a safe stop the bridge reads one word in the vitals."""
        if mode == self._mode:
            return
        vitals, since_ns, is_new = self._vitals, self._vitals.words[Vitals.MODE_NS], mode.name != self._mode.name
        self._mode = mode
        vitals.set_mode(now_ns if is_new else since_ns, mode.name, mode.text)
        vitals.ask_for_stop(now_ns, mode.stops)
        if not is_new:
            return
        if mode.name:
            self._log.write(Code.RUN_MODE, mode.first, mode=mode.name, why=mode.text)
        else:
            self._log.write(Code.RUN_MODE_NORMAL, after_ms=(now_ns - since_ns) / 1e6)
        if mode.stops:
            vitals.report_cause(now_ns, f"safe stop: {mode.text}", Code.RUN_MODE.code)

    def _set_state(self, state: RunState) -> None:
        if self._vitals.run_state is not state:
            self._vitals.words[Vitals.RUN_STATE] = state
            self._log.write(Code.RUN_STATE, state=state.name.lower())

    def _stop(self, reason: str) -> None:
        """Begin the orderly stop; once only."""
        if self._stopping:
            return
        self._stopping = True
        self._log.write(Code.RUN_STOPPING, reason=reason)
        self._set_state(RunState.STOPPING)
        self._lifeline.look(self._clock.now_ns())
        self._waves.extend(stop_waves(self._plan))
        for member in self._members.values():
            member.happen(Happening.RETIRE)
        self._advance_stop(self._clock.now_ns())

    def _advance_stop(self, now_ns: int) -> None:
        while self._waves and self._may_ask(self._waves[0], now_ns):
            self._asked_ns = now_ns
            for name in self._waves.popleft().nodes:
                self._asked.append(self._members[name])
                self._members[name].happen(Happening.STOP)

    def _may_ask(self, wave: Wave, now_ns: int) -> bool:
        if wave.after_exit:
            return not any(member.child.live for member in self._asked)
        patient = wave.patience_ns is None or now_ns < self._asked_ns + wave.patience_ns
        return all(member.child.steps_no_more for member in self._asked) or not patient

    def _kill_all(self) -> None:
        self._kill_at_ns = None
        self._waves.clear()
        for member in self._members.values():
            member.kill()

    def _wake_up_ns(self) -> int:
        dues = [member.child.due_ns for member in self._members.values()]
        patience_ns = self._waves[0].patience_ns if self._waves else None
        wave_due_ns = None if patience_ns is None else self._asked_ns + patience_ns
        return min(
            due_ns for due_ns in (self._next_look_ns, self._kill_at_ns, wave_due_ns, *dues) if due_ns is not None
        )

    def _end(self) -> int:
        exit_code = 1 if self._failed else 0
        self._set_state(RunState.FAILED if self._failed else RunState.STOPPED)
        self._lifeline.close()
        if self._latency is not None:
            self._latency.close()
        self._log.write(Code.RUN_VERDICT, verdict=verdict(self._vitals))
        self._log.write(
            Code.RUN_ENDED, exit_code=exit_code, after_s=(self._clock.now_ns() - self._started_ns) / NS_PER_S
        )
        self._sources.close()
        self._wakers.close()
        self._log.close()
        return exit_code
