"""When a running node counts as hung, seen from the vitals alone.

Silence is counted in the supervisor's own looks, each worth two looks' time at most: when the whole computer stood
still (a paused virtual machine, a starved supervisor), that is no node's fault.
"""

from __future__ import annotations

from typing import NamedTuple

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.plan import NodePlan

LOOK_NS, EASY_LOOK_NS = ns(0.06), ns(0.12)
"""How often the supervisor looks at the vitals of a node: a look half as often is enough from `EASY_LIMIT_NS` on."""
EASY_LIMIT_NS = ns(0.5)
FAST_HZ = 50.0
PERIODS = 5
REALTIME_LIMIT_NS = ns(0.1)
SHARED_LIMIT_NS = ns(0.5)
"""Without SCHED_FIFO a busy computer may keep a node from its core for a while."""
PATIENCE_NS = ns(2.0)
"""For slow nodes (a disk may stall that long), steps on news, and a first step, which may still load something."""


def limit_ns(node: NodePlan, fifo: bool) -> int:
    """How long a node may go without ending a step. fifo: it really runs under SCHED_FIFO."""
    if node.hang_limit_s is not None:
        return ns(node.hang_limit_s)
    if node.rate_hz is None:
        return PATIENCE_NS
    periods_ns = round(PERIODS * NS_PER_S / node.rate_hz)
    if node.rate_hz < FAST_HZ:
        return max(PATIENCE_NS, periods_ns)
    return max(REALTIME_LIMIT_NS if fifo else SHARED_LIMIT_NS, periods_ns)


class Steps(NamedTuple):
    """What the vitals say about a node's steps."""

    number: int
    """Of the steps that have ended."""
    start_ns: int
    end_ns: int


class HangWatch:
    """Adds up the silence of one node. Make one for each start, when the node begins to run.

    A node with a rate has to end steps; one that waits for news only has to end those it began.
    """

    def __init__(self, node: NodePlan, fifo: bool, steps: Steps, now_ns: int) -> None:
        self._has_rate = node.rate_hz is not None
        self._limit_ns = limit_ns(node, fifo)
        self._steps_at_start = self._steps = steps.number
        self._last_look_ns = now_ns
        self.look_every_ns = LOOK_NS if self._limit_ns < EASY_LIMIT_NS else EASY_LOOK_NS
        self.silent_ns = 0

    @property
    def limit_ns(self) -> int:
        """The limit that holds now."""
        first_step = self._steps == self._steps_at_start
        return max(self._limit_ns, PATIENCE_NS) if first_step else self._limit_ns

    def is_due(self, now_ns: int) -> bool:
        """Whether it is time for a look."""
        return now_ns - self._last_look_ns >= self.look_every_ns

    @property
    def is_late(self) -> bool:
        """True when the silence has passed half of the limit, as of the last look."""
        return 2 * self.silent_ns > self.limit_ns

    def is_hung(self, steps: Steps, now_ns: int) -> bool:
        """Look once; True when the silence has passed the limit."""
        elapsed_ns, self._last_look_ns = now_ns - self._last_look_ns, now_ns
        alive = steps.number != self._steps or not (self._has_rate or steps.start_ns > steps.end_ns)
        self.silent_ns = 0 if alive else self.silent_ns + min(elapsed_ns, 2 * self.look_every_ns)
        self._steps = steps.number
        return self.silent_ns > self.limit_ns
