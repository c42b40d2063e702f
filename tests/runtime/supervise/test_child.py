"""The life of a node, on a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.supervise.child import (
    FIRST_BACK_OFF_NS,
    KILL_AGAIN_NS,
    LIVE,
    LONGEST_BACK_OFF_NS,
    STABLE_NS,
    TABLE,
    Action,
    Child,
    Ending,
    Happening,
    Rules,
)
from cardan.runtime.supervise.events import Code
from cardan.runtime.vitals import NodeState

SIGKILL, SIGSEGV = -9, -11


def rules(restart: str = "on-failure", max_restarts: int = 3) -> Rules:
    return Rules(
        restart=restart,
        max_restarts=max_restarts,
        window_ns=ns(60),
        start_timeout_ns=ns(10),
        stop_timeout_ns=ns(2),
    )


class Life:
    """A child with its clock and its notes. The jitter is in the middle, so back-off is exact."""

    def __init__(self, restart: str = "on-failure", max_restarts: int = 3) -> None:
        self.now_ns = 1000 * NS_PER_S
        self.notes: list[tuple[Code, dict[str, Any]]] = []
        self.child = Child(rules(restart, max_restarts), lambda: 0.5, self._note)

    def _note(self, code: Code, **fields: Any) -> None:
        code.text.format(**fields)
        self.notes.append((code, fields))

    def happen(self, what: Happening, after_s: float = 0.0, **detail: Any) -> list[Action]:
        self.now_ns += ns(after_s)
        return self.child.happen(what, self.now_ns, **detail)

    def run(self) -> Life:
        self.happen(Happening.START)
        return self.answer()

    def answer(self) -> Life:
        self.happen(Happening.READY, 0.02)
        self.happen(Happening.GO)
        return self

    def due(self) -> list[Action]:
        assert self.child.due_ns is not None
        self.now_ns = max(self.now_ns, self.child.due_ns)
        return self.happen(Happening.DUE)

    def state(self) -> NodeState:
        return self.child.state

    def codes(self) -> list[Code]:
        return [code for code, _ in self.notes]


def test_a_node_starts_gets_ready_and_goes() -> None:
    life = Life()
    assert life.happen(Happening.START) == [Action.START]
    assert life.state() is NodeState.STARTING
    assert life.happen(Happening.GO) == []
    life.happen(Happening.READY)
    assert life.state() is NodeState.READY
    assert life.happen(Happening.GO) == [Action.GO]
    assert life.state() is NodeState.RUNNING
    assert life.child.due_ns is None


def test_the_first_restart_is_immediate_and_the_next_ones_wait_twice_as_long_each() -> None:
    life = Life(max_restarts=20).run()
    assert life.happen(Happening.EXITED, exit_code=SIGSEGV) == [Action.START]
    waits = []
    for _ in range(10):
        assert life.happen(Happening.EXITED, exit_code=1) == []
        assert life.state() is NodeState.BACKING_OFF
        waits.append((life.child.due_ns or 0) - life.now_ns)
        assert life.due() == [Action.START]
    assert waits == [min(FIRST_BACK_OFF_NS << i, LONGEST_BACK_OFF_NS) for i in range(10)]


def test_a_node_that_ran_long_enough_restarts_at_once_again() -> None:
    life = Life(max_restarts=20).run()
    life.happen(Happening.EXITED, exit_code=1)
    life.answer()
    life.happen(Happening.EXITED, 1.0, exit_code=1)
    assert life.state() is NodeState.BACKING_OFF
    life.due()
    life.answer()
    assert life.happen(Happening.EXITED, STABLE_NS / NS_PER_S, exit_code=1) == [Action.START]


def test_jitter_spreads_the_restarts_of_nodes_that_fell_together() -> None:
    waits = set()
    for jitter in (0.0, 0.3, 0.99):
        child = Child(rules(), lambda jitter=jitter: jitter, lambda *_, **__: None)  # type: ignore[misc] # bound now
        child.happen(Happening.START, 0)
        child.happen(Happening.EXITED, 0, exit_code=1)
        child.happen(Happening.EXITED, 0, exit_code=1)
        waits.add(child.due_ns)
    assert len(waits) == 3
    assert all(0.8 * FIRST_BACK_OFF_NS <= wait <= 1.2 * FIRST_BACK_OFF_NS for wait in waits if wait)


def test_restarts_beyond_the_limit_of_the_window_give_up() -> None:
    life = Life(max_restarts=3).run()
    for _ in range(3):
        if life.happen(Happening.EXITED, exit_code=1) == []:
            life.due()
    life.happen(Happening.EXITED, exit_code=1)
    assert life.state() is NodeState.FAILED
    assert life.child.starts == 4
    assert life.child.why_failed == "exit code 1 before it was ready, after 3 restarts in 60 s"
    assert life.happen(Happening.START) == []


def test_restarts_that_left_the_window_are_forgotten() -> None:
    life = Life(max_restarts=3).run()
    for _ in range(10):
        assert life.happen(Happening.EXITED, 21.0, exit_code=1) == [Action.START]
        life.answer()
    assert life.child.crashes == 10


@pytest.mark.parametrize(
    ("restart", "exit_code", "state"),
    [
        ("always", 0, NodeState.STARTING),
        ("always", 1, NodeState.STARTING),
        ("on-failure", 0, NodeState.FINISHED),
        ("on-failure", 1, NodeState.STARTING),
        ("on-failure", SIGKILL, NodeState.STARTING),
        ("never", 0, NodeState.FINISHED),
        ("never", 1, NodeState.FAILED),
        ("never", SIGKILL, NodeState.FAILED),
    ],
)
def test_the_restart_policy_decides_what_an_exit_means(restart: str, exit_code: int, state: NodeState) -> None:
    life = Life(restart).run()
    life.happen(Happening.EXITED, exit_code=exit_code)
    assert life.state() is state
    assert life.child.crashes == (exit_code != 0)


def test_a_node_that_dies_before_it_is_ready_is_started_again_and_says_so() -> None:
    life = Life()
    life.happen(Happening.START)
    assert life.happen(Happening.EXITED, exit_code=2) == [Action.START]
    assert (Code.NODE_CRASH, {"how": "exit code 2 before it was ready", "exit_code": 2}) in life.notes


def test_a_node_that_is_not_ready_in_time_is_killed_and_started_again() -> None:
    life = Life()
    life.happen(Happening.START)
    assert life.due() == [Action.KILL]
    assert life.happen(Happening.READY) == []  # it said so while it was being killed
    assert life.happen(Happening.EXITED, exit_code=SIGKILL) == [Action.START]
    assert life.child.hangs == 0
    assert Code.NODE_LATE in life.codes()


def test_a_silent_node_is_killed_and_counted_as_hung_not_as_crashed() -> None:
    life = Life().run()
    assert life.happen(Happening.SILENT) == [Action.KILL]
    assert life.state() is NodeState.HUNG
    assert life.happen(Happening.EXITED, exit_code=SIGKILL) == [Action.START]
    assert (life.child.hangs, life.child.crashes) == (1, 0)


def test_a_node_that_falls_behind_is_late_until_it_steps_again() -> None:
    life = Life().run()
    assert life.happen(Happening.LATE) == []
    assert (life.state(), life.child.lates) == (NodeState.LATE, 1)
    assert life.happen(Happening.ON_TIME) == []
    assert life.state() is NodeState.RUNNING
    life.happen(Happening.LATE)
    assert life.happen(Happening.SILENT) == [Action.KILL]
    assert (life.state(), life.child.lates, life.child.hangs) == (NodeState.HUNG, 2, 1)


def test_a_process_that_survives_sigkill_is_reported_and_killed_again() -> None:
    life = Life().run()
    life.happen(Happening.SILENT)
    assert life.child.due_ns == life.now_ns + KILL_AGAIN_NS
    assert life.due() == [Action.KILL]
    assert Code.NODE_UNKILLABLE in life.codes()


def test_a_stop_terminates_and_after_its_time_out_kills() -> None:
    life = Life().run()
    assert life.happen(Happening.STOP) == [Action.TERMINATE]
    assert life.child.due_ns == life.now_ns + ns(2)
    assert life.due() == [Action.KILL]
    assert life.happen(Happening.EXITED, exit_code=SIGKILL) == []
    assert life.state() is NodeState.FINISHED
    assert life.child.crashes == 0


def test_a_stop_that_races_a_pending_restart_starts_nothing() -> None:
    life = Life().run()
    life.happen(Happening.EXITED, exit_code=1)
    life.happen(Happening.EXITED, exit_code=1)
    assert life.state() is NodeState.BACKING_OFF
    assert life.happen(Happening.STOP) == []
    assert life.state() is NodeState.FINISHED
    assert life.happen(Happening.DUE, 100.0) == []
    assert not life.child.live


def test_a_stop_of_a_hung_node_waits_for_its_end_and_starts_nothing() -> None:
    life = Life().run()
    life.happen(Happening.SILENT)
    assert life.happen(Happening.STOP) == []
    assert life.happen(Happening.EXITED, exit_code=SIGKILL) == []
    assert life.state() is NodeState.FINISHED


def test_a_crash_while_the_run_ends_starts_nothing() -> None:
    life = Life("always").run()
    assert life.happen(Happening.RETIRE) == []
    assert life.happen(Happening.EXITED, exit_code=1) == []
    assert life.state() is NodeState.FINISHED


def test_a_node_that_was_stopped_by_a_stranger_is_started_again() -> None:
    life = Life().run()
    life.happen(Happening.ENDING, ending=Ending.TOLD)
    assert life.happen(Happening.EXITED, exit_code=0) == [Action.START]


def test_a_node_that_closes_for_too_long_is_killed_and_started_again() -> None:
    life = Life().run()
    life.happen(Happening.ENDING, ending=Ending.FINISHED)
    assert life.child.steps_no_more
    assert life.happen(Happening.SILENT) == []
    assert life.due() == [Action.KILL]
    assert life.happen(Happening.EXITED, exit_code=SIGKILL) == [Action.START]
    assert Code.NODE_CLOSING_LATE in life.codes()


def test_every_live_state_hears_an_exit_and_a_stop() -> None:
    for state in LIVE:
        assert (state, Happening.EXITED) in TABLE
        assert (state, Happening.STOP) in TABLE
        assert (state, Happening.RETIRE) in TABLE


class AnyLife(RuleBasedStateMachine):
    """Whatever happens in whatever order: one process at most, every process is ended, a stop is final."""

    @initialize(restart=st.sampled_from(["always", "on-failure", "never"]), limit=st.integers(0, 4))
    def begin(self, restart: str, limit: int) -> None:
        self.life = Life(restart, limit)
        self.has_process = False
        self.doomed = False
        self.stopped = False
        self.starts_ns: list[int] = []

    def tell(self, what: Happening, **detail: Any) -> None:
        for action in self.life.happen(what, **detail):
            if action is Action.START:
                assert not self.has_process, "two processes of one node"
                assert not self.stopped, "started after the stop"
                self.has_process = True
                self.doomed = False
                self.starts_ns.append(self.life.now_ns)
            else:
                assert self.has_process, f"{action} without a process"
            if action is Action.KILL:
                self.doomed = True

    @rule()
    def start(self) -> None:
        self.tell(Happening.START)

    @precondition(lambda self: self.has_process)
    @rule(what=st.sampled_from([Happening.READY, Happening.GO, Happening.LATE, Happening.ON_TIME, Happening.SILENT]))
    def news(self, what: Happening) -> None:
        self.tell(what)

    @precondition(lambda self: self.has_process)
    @rule(ending=st.sampled_from(Ending))
    def leave_loop(self, ending: Ending) -> None:
        self.tell(Happening.ENDING, ending=ending)

    @precondition(lambda self: self.has_process)
    @rule(code=st.sampled_from([0, 1, 2, SIGSEGV]))
    def die(self, code: int) -> None:
        self.has_process = False
        self.tell(Happening.EXITED, exit_code=SIGKILL if self.doomed else code)

    @precondition(lambda self: self.life.child.due_ns is not None)
    @rule()
    def wait_for_due(self) -> None:
        self.life.now_ns = max(self.life.now_ns, self.life.child.due_ns or 0)
        self.tell(Happening.DUE)

    @rule(seconds=st.floats(0, 100))
    def let_time_pass(self, seconds: float) -> None:
        self.life.now_ns += ns(seconds)

    @rule(what=st.sampled_from([Happening.STOP, Happening.RETIRE]))
    def stop(self, what: Happening) -> None:
        self.stopped = True
        self.tell(what)

    @invariant()
    def the_state_says_whether_there_is_a_process(self) -> None:
        assert self.life.child.live == self.has_process
        assert self.life.child.over <= (not self.has_process)

    @invariant()
    def nothing_waits_for_ever(self) -> None:
        unattended = (NodeState.STARTING, NodeState.HUNG, NodeState.STOPPING, NodeState.BACKING_OFF)
        assert (self.life.child.due_ns is not None) == (self.life.child.state in unattended)

    @invariant()
    def the_window_holds(self) -> None:
        limit = self.life.child._rules.max_restarts
        for begin_ns in self.starts_ns:
            assert sum(begin_ns <= stamp_ns < begin_ns + ns(60) for stamp_ns in self.starts_ns) <= limit + 1

    def teardown(self) -> None:
        """However it stands now, a stop ends it, even if it must be killed."""
        if not hasattr(self, "life"):
            return
        self.stop(Happening.STOP)
        while self.has_process:
            self.die(0) if self.doomed else self.wait_for_due()
        assert self.life.child.over


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=100, stateful_step_count=40)
