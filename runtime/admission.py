"""Admission: can every declared step be done within its period on the cores of its group? Pure arithmetic.

Real-time nodes run under fixed priorities, preemptively, each on one core that is chosen here. The longest time from
the moment a step is due to its end is the least solution of

    w = B + C + sum over every other node j of the same core, no lower in priority: ceil((w + J_j) / T_j) * C_j
    R = J + w

(M. Joseph, P. Pandya, "Finding Response Times in a Real-Time System", The Computer Journal 29, 1986; with release
jitter J and blocking B: N. Audsley et al., "Applying New Scheduling Theory to Static Priority Preemptive Scheduling",
Software Engineering Journal 8, 1993). C is the declared step budget, T the period, which is the deadline as well; the
node fits when R <= T. Nodes of equal priority count against each other, as the kernel makes them queue. Other nodes
get what is left: only their share is added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cardan.runtime.clock import SPIN_FROM_HZ

OVERHEAD_S = 0.0002
"""Added to C of a real-time node of 50 Hz and above: 100 us of spinning before its deadline, and collecting young
garbage after the step (measured below 100 us)."""
BLOCKING_S = 0.0001
"""B: how long the kernel may keep a core from a real-time thread (interrupts, sections that cannot be preempted). Nodes
share no locks. 100 us is the usual bound of a PREEMPT_RT kernel; a desktop kernel promises nothing."""
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Task:
    """What admission has to know of one node."""

    name: str
    group: str | None
    """Core group; None: any core."""
    cores: tuple[int, ...] = ()
    """CPUs of the group; empty: all of a computer whose number of cores is not known here."""
    period_s: float | None = None
    """None: not known (a finding hides it)."""
    budget_s: float | None = None
    """Longest step; None: not declared."""
    realtime: bool = False
    priority: int | None = None
    """Higher runs first; None: by rate."""
    stepped_by: str | None = None
    """The node whose message releases this one's steps: its response time is the release jitter here."""

    @property
    def cost_s(self) -> float:
        """C. Nothing declared: on numbered cores all that fits into the period, else nothing, as nothing is known."""
        if self.budget_s is None:
            return max(0.0, (self.period_s or 0.0) - BLOCKING_S) if self.cores else 0.0
        return self.budget_s + (OVERHEAD_S if self._spins else 0.0)

    @property
    def _spins(self) -> bool:
        return self.realtime and bool(self.period_s) and 1 / (self.period_s or 1.0) >= SPIN_FROM_HZ * (1 - ROUNDING)

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cost_s / self.period_s if self.period_s else 0.0


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The answer for one real-time node."""

    task: Task
    core: int | None
    """None: all cores, judged as if there were one."""
    priority: int
    source_s: float | None = None
    """Response time of the real-time node that steps this one; None: a clock or something else does."""
    response_s: float = 0.0
    """R, from the time the source was due (from the arrival of the message where the source is not a real-time node);
    infinite when it is beyond the period."""

    @property
    def jitter_s(self) -> float:
        """J: how late a release may come. A source about which nothing is known may be late by a whole period."""
        if self.source_s is not None:
            return self.source_s
        return self.task.period_s or 0.0 if self.task.stepped_by else 0.0

    @property
    def slack_s(self) -> float:
        return (self.task.period_s or 0.0) - self.response_s

    @property
    def fits(self) -> bool:
        return self.response_s <= (self.task.period_s or 0.0) * (1 + ROUNDING)

    @property
    def place(self) -> tuple[str, int | str | None]:
        """What it shares: a numbered core, or the cores of a group that have no numbers."""
        return ("group", self.task.group) if self.core is None else ("core", self.core)


def priorities(tasks: Iterable[Task], highest: int) -> dict[str, int]:
    """A priority for each real-time node: the declared one, else rate-monotonic from `highest` down, never below 1."""
    realtime = [task for task in tasks if task.realtime and task.period_s]
    periods = sorted({task.period_s or 0.0 for task in realtime if task.priority is None})
    ranks = {period_s: max(1, highest - rank) for rank, period_s in enumerate(periods)}
    return {t.name: ranks[t.period_s or 0.0] if t.priority is None else t.priority for t in realtime}


def admit(tasks: Sequence[Task], highest_priority: int) -> dict[str, Placement]:
    """A core and a response time for every real-time node whose period is known, in order of priority.

    The highest priority chooses first; each takes, of the cores on which all is done in time, the one with least load.
    """
    chosen = priorities(tasks, highest_priority)
    placed: list[Placement] = []
    for task in sorted((task for task in tasks if task.name in chosen), key=lambda task: -chosen[task.name]):
        bare = [Placement(task=task, core=core, priority=chosen[task.name]) for core in task.cores or (None,)]
        options = [_settle([*placed, option]) for option in bare]
        placed = min(options, key=lambda option: (sum(not item.fits for item in option), _load(option)))
    return {placement.task.name: placement for placement in placed}


def _load(placed: Sequence[Placement]) -> float:
    """Share of the core that the last one took."""
    return sum(item.task.share for item in placed if item.place == placed[-1].place)


def _settle(placed: Sequence[Placement]) -> list[Placement]:
    """The response times of all, until no release jitter changes any more; they only grow, to the period or beyond."""
    found = list(placed)
    while True:
        responses = {item.task.name: item.response_s for item in found}
        after = [replace(item, source_s=responses.get(item.task.stepped_by or "")) for item in found]
        after = [replace(item, response_s=_response_s(item, after)) for item in after]
        if after == found:
            return found
        found = after


def _response_s(own: Placement, placed: Iterable[Placement]) -> float:
    """R of the formula above; infinite as soon as it is beyond the period, where the formula no longer holds."""
    name, start_s = own.task.name, BLOCKING_S + own.task.cost_s
    above = [
        item for item in placed if item.place == own.place and item.priority >= own.priority and item.task.name != name
    ]
    left = 1.0 - sum(item.task.share for item in above)
    if left <= 0.0:
        return math.inf
    limit_s, window_s = (own.task.period_s or 0.0) * (1 + ROUNDING) - (own.source_s or 0.0), start_s / left
    while window_s <= limit_s:
        longer_s = start_s + sum(_interference_s(item, window_s) for item in above)
        if longer_s <= window_s * (1 + ROUNDING):
            return (own.source_s or 0.0) + window_s
        window_s = longer_s
    return math.inf


def _interference_s(other: Placement, window_s: float) -> float:
    """Time that another node may take away in a window."""
    if math.isinf(other.jitter_s) or not other.task.period_s:
        return math.inf
    releases = math.ceil((window_s + other.jitter_s) / other.task.period_s * (1 - ROUNDING))
    return releases * other.task.cost_s
