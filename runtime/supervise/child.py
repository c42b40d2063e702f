"""The life of one node as the supervisor decides it: a state machine on the time it is given, with no I/O.

What happens to a node (`Happening`) goes in, what to do about it (`Action`) comes out; `TABLE` says which happening
means something in which state. Everything else is news from an earlier life and is ignored.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.plan import NodePlan
from cardan.runtime.supervise.events import Code
from cardan.runtime.vitals import NodeState

FIRST_BACK_OFF_NS = ns(0.05)
LONGEST_BACK_OFF_NS = ns(5.0)
"""The first restart is immediate, the second waits 50 ms, and so on doubling up to 5 s."""
STABLE_NS = ns(10.0)
"""A node that ran this long starts at an immediate restart again."""
KILL_AGAIN_NS = ns(1.0)
ACTIVE = (NodeState.RUNNING, NodeState.LATE)
"""States in which it is to step."""
LIVE = (NodeState.STARTING, NodeState.READY, *ACTIVE, NodeState.HUNG, NodeState.STOPPING)
"""States in which there is a process."""
OVER = (NodeState.FINISHED, NodeState.FAILED)


class Happening(Enum):
    """What can happen to a node."""

    START = auto()
    READY = auto()
    GO = auto()
    ENDING = auto()
    """It has left its loop and is closing."""
    LATE = auto()
    """It has shown no sign of life for half of the time after which that is too long."""
    ON_TIME = auto()
    """It shows signs of life again."""
    SILENT = auto()
    """It shows no sign of life."""
    EXITED = auto()
    DUE = auto()
    """The time `due_ns` has come."""
    RETIRE = auto()
    """The run is ending: start it no more."""
    STOP = auto()


class Action(Enum):
    """What the supervisor has to do."""

    START = auto()
    GO = auto()
    TERMINATE = auto()
    KILL = auto()


class Ending(Enum):
    """Why a node has left its loop, as it says itself."""

    FINISHED = b"F"
    TOLD = b"S"
    """A signal asked it to stop."""
    FAILED = b"E"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the plan wants for one node."""

    restart: str
    max_restarts: int
    window_ns: int
    start_timeout_ns: int
    stop_timeout_ns: int

    @classmethod
    def of(cls, node: NodePlan) -> Rules:
        """The rules of a node of the plan."""
        return cls(
            restart=node.restart,
            max_restarts=node.max_restarts,
            window_ns=ns(node.window_s),
            start_timeout_ns=ns(node.start_timeout_s),
            stop_timeout_ns=ns(node.stop_timeout_s),
        )


def how_it_ended(exit_code: int) -> str:
    """`exit code 3` or `killed by SIGSEGV`; exit_code is negative for a signal."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"


class Child:
    """One node's state. `due_ns` is when it wants to hear `Happening.DUE`; None while it waits for nothing.

    jitter: gives numbers in 0..1. note: takes the code and the fields of each event.
    """

    def __init__(self, rules: Rules, jitter: Callable[[], float], note: Callable[..., None]) -> None:
        self._rules = rules
        self._jitter = jitter
        self._note = note
        self.state = NodeState.WAITING
        self.due_ns: int | None = None
        self.starts = 0
        self.crashes = 0
        self.hangs = 0
        self.lates = 0
        self.exit_code: int | None = None
        self.why_failed = ""
        self._retiring = False
        self._killed = False
        self._ending: Ending | None = None
        self._running_since_ns: int | None = None
        self._attempt = 0
        self._restarts_ns: list[int] = []

    @property
    def live(self) -> bool:
        """True while there is a process."""
        return self.state in LIVE

    @property
    def over(self) -> bool:
        """True when nothing will ever start again."""
        return self.state in OVER

    @property
    def steps_no_more(self) -> bool:
        """True when it has no process, or that has left its loop."""
        return not self.live or self._ending is not None

    def happen(
        self, what: Happening, now_ns: int, *, exit_code: int = 0, ending: Ending | None = None, silent_ns: int = 0
    ) -> list[Action]:
        """Take in one happening. exit_code belongs to EXITED, ending to ENDING, silent_ns to SILENT."""
        handler = TABLE.get((self.state, what))
        if handler is None:
            return []
        detail = {Happening.EXITED: exit_code, Happening.ENDING: ending, Happening.SILENT: silent_ns}.get(what)
        return handler(self, now_ns, detail)

    def _start(self, now_ns: int, _: Any) -> list[Action]:
        self.state = NodeState.STARTING
        self.due_ns = now_ns + self._rules.start_timeout_ns
        self.starts += 1
        self._killed, self._ending, self._running_since_ns = False, None, None
        return [Action.START]

    def _ready(self, now_ns: int, _: Any) -> list[Action]:
        self.state, self.due_ns = NodeState.READY, None
        return []

    def _run(self, now_ns: int, _: Any) -> list[Action]:
        self.state, self._running_since_ns = NodeState.RUNNING, now_ns
        return [Action.GO]

    def _fall_behind(self, now_ns: int, _: Any) -> list[Action]:
        self.lates += 1
        self.state = NodeState.LATE
        return []

    def _catch_up(self, now_ns: int, _: Any) -> list[Action]:
        self.state = NodeState.RUNNING
        return []

    def _not_ready(self, now_ns: int, _: Any) -> list[Action]:
        self._note(Code.NODE_LATE, limit_s=self._rules.start_timeout_ns / NS_PER_S)
        self.state = NodeState.HUNG
        return self._kill(now_ns)

    def _hung(self, now_ns: int, silent_ns: Any) -> list[Action]:
        self.hangs += 1
        self.state = NodeState.HUNG
        return self._kill(now_ns)

    def _left_loop(self, now_ns: int, ending: Any) -> list[Action]:
        self._ending = ending
        self.state, self.due_ns = NodeState.STOPPING, now_ns + self._rules.stop_timeout_ns
        return []

    def _left_loop_as_told(self, now_ns: int, ending: Any) -> list[Action]:
        self._ending = ending
        return []

    def _stop(self, now_ns: int, _: Any) -> list[Action]:
        self._note(Code.NODE_STOP)
        self._retiring = True
        self.state, self.due_ns = NodeState.STOPPING, now_ns + self._rules.stop_timeout_ns
        return [Action.TERMINATE]

    def _stop_overdue(self, now_ns: int, _: Any) -> list[Action]:
        if self._killed:
            return self._kill(now_ns)
        code = Code.NODE_KILL if self._retiring else Code.NODE_CLOSING_LATE
        self._note(code, limit_s=self._rules.stop_timeout_ns / NS_PER_S)
        return self._kill(now_ns)

    def _kill(self, now_ns: int, _: Any = None) -> list[Action]:
        if self._killed:
            self._note(Code.NODE_UNKILLABLE, after_s=KILL_AGAIN_NS / NS_PER_S)
        self._killed, self.due_ns = True, now_ns + KILL_AGAIN_NS
        return [Action.KILL]

    def _retire(self, now_ns: int, _: Any) -> list[Action]:
        self._retiring = True
        return []

    def _never_mind(self, now_ns: int, _: Any) -> list[Action]:
        self._retiring = True
        self.state, self.due_ns = NodeState.FINISHED, None
        return []

    def _exited(self, now_ns: int, exit_code: Any) -> list[Action]:
        was, self.due_ns, self.exit_code = self.state, None, exit_code
        clean = exit_code == 0 and (self._retiring or self._ending is not Ending.TOLD)
        how = self._how(was, exit_code)
        self._note(Code.NODE_EXIT if clean or self._retiring else Code.NODE_CRASH, how=how, exit_code=exit_code)
        if self._retiring:
            self.state = NodeState.FINISHED
            return []
        self.crashes += not clean and was is not NodeState.HUNG
        if clean and self._rules.restart != "always":
            self.state = NodeState.FINISHED
            self._note(Code.NODE_FINISHED)
            return []
        if self._rules.restart == "never":
            return self._give_up(f"{how}, and its restart policy is never")
        return self._restart(now_ns, how)

    def _how(self, was: NodeState, exit_code: int) -> str:
        how = how_it_ended(exit_code)
        if self._ending is Ending.TOLD and not self._retiring:
            return f"{how} after a SIGTERM that was not the supervisor's"
        if was is NodeState.HUNG:
            return "hung" if self._running_since_ns is not None else "not ready in time"
        return f"{how} before it was ready" if was is NodeState.STARTING else how

    def _restart(self, now_ns: int, how: str) -> list[Action]:
        rules = self._rules
        self._restarts_ns = [stamp_ns for stamp_ns in self._restarts_ns if stamp_ns > now_ns - rules.window_ns]
        if len(self._restarts_ns) >= rules.max_restarts:
            return self._give_up(f"{how}, after {rules.max_restarts} restarts in {rules.window_ns / NS_PER_S:g} s")
        self._restarts_ns.append(now_ns)
        delay_ns = self._back_off_ns(now_ns)
        self._note(
            Code.NODE_RESTART,
            restarts=len(self._restarts_ns),
            max_restarts=rules.max_restarts,
            window_s=rules.window_ns / NS_PER_S,
            delay_ms=delay_ns / 1e6,
        )
        self.state, self.due_ns = NodeState.BACKING_OFF, now_ns + delay_ns
        return self._start(now_ns, None) if delay_ns == 0 else []

    def _back_off_ns(self, now_ns: int) -> int:
        if self._running_since_ns is not None and now_ns - self._running_since_ns >= STABLE_NS:
            self._attempt = 0
        self._attempt += 1
        if self._attempt == 1:
            return 0
        doubled_ns = FIRST_BACK_OFF_NS << min(self._attempt - 2, 16)
        return round(min(doubled_ns, LONGEST_BACK_OFF_NS) * (0.8 + 0.4 * self._jitter()))

    def _give_up(self, why: str) -> list[Action]:
        self.state, self.why_failed = NodeState.FAILED, why
        self._note(Code.NODE_GAVE_UP, why=why)
        return []


Handler = Callable[[Child, int, Any], list[Action]]
TABLE: dict[tuple[NodeState, Happening], Handler] = {
    (NodeState.WAITING, Happening.START): Child._start,
    (NodeState.WAITING, Happening.RETIRE): Child._never_mind,
    (NodeState.WAITING, Happening.STOP): Child._never_mind,
    (NodeState.STARTING, Happening.READY): Child._ready,
    (NodeState.STARTING, Happening.DUE): Child._not_ready,
    (NodeState.STARTING, Happening.EXITED): Child._exited,
    (NodeState.STARTING, Happening.RETIRE): Child._retire,
    (NodeState.STARTING, Happening.STOP): Child._stop,
    (NodeState.READY, Happening.GO): Child._run,
    (NodeState.READY, Happening.ENDING): Child._left_loop,
    (NodeState.READY, Happening.EXITED): Child._exited,
    (NodeState.READY, Happening.RETIRE): Child._retire,
    (NodeState.READY, Happening.STOP): Child._stop,
    (NodeState.RUNNING, Happening.LATE): Child._fall_behind,
    (NodeState.RUNNING, Happening.ENDING): Child._left_loop,
    (NodeState.RUNNING, Happening.SILENT): Child._hung,
    (NodeState.RUNNING, Happening.EXITED): Child._exited,
    (NodeState.RUNNING, Happening.RETIRE): Child._retire,
    (NodeState.RUNNING, Happening.STOP): Child._stop,
    (NodeState.LATE, Happening.ON_TIME): Child._catch_up,
    (NodeState.LATE, Happening.ENDING): Child._left_loop,
    (NodeState.LATE, Happening.SILENT): Child._hung,
    (NodeState.LATE, Happening.EXITED): Child._exited,
    (NodeState.LATE, Happening.RETIRE): Child._retire,
    (NodeState.LATE, Happening.STOP): Child._stop,
    (NodeState.HUNG, Happening.DUE): Child._kill,
    (NodeState.HUNG, Happening.EXITED): Child._exited,
    (NodeState.HUNG, Happening.RETIRE): Child._retire,
    (NodeState.HUNG, Happening.STOP): Child._retire,
    (NodeState.STOPPING, Happening.ENDING): Child._left_loop_as_told,
    (NodeState.STOPPING, Happening.DUE): Child._stop_overdue,
    (NodeState.STOPPING, Happening.EXITED): Child._exited,
    (NodeState.STOPPING, Happening.RETIRE): Child._retire,
    (NodeState.STOPPING, Happening.STOP): Child._retire,
    (NodeState.BACKING_OFF, Happening.DUE): Child._start,
    (NodeState.BACKING_OFF, Happening.RETIRE): Child._never_mind,
    (NodeState.BACKING_OFF, Happening.STOP): Child._never_mind,
}
