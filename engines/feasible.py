"""Can the declared engines meet their deadlines on one accelerator? Asked before anything starts. Pure arithmetic.

Frames come periodically, are run by earliest deadline, and a run cannot be interrupted. In any interval of length t

    demand(t) = sum of floor((t - D_i) / T_i + 1) * C_i     over the engines with D_i <= t
    blocking(t) = longest C_j                               over the engines with D_j > t, begun just before

has to fit: demand(t) + blocking(t) <= t (K. Jeffay, D. F. Stanat, C. U. Martel, "On Non-Preemptive Scheduling of
Periodic and Sporadic Tasks", RTSS 1991; L. George, N. Rivierre, M. Spuri, INRIA report 2966, 1996). C is the declared
run time, T the period, D the deadline less the longest way of a frame from its capture to the engine host. It suffices
to look at the deadlines within the longest busy period.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ROUNDS = 1000
"""Where the end of the busy period is not found in so many, the load is at its limit: no answer but no."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one engine asks of the accelerator, in nanoseconds."""

    name: str
    period_ns: int
    deadline_ns: int
    """From the arrival of a frame to its result."""
    run_ns: int
    """The longest run that is reckoned with, everything around it included."""

    @property
    def share(self) -> float:
        """Of the accelerator."""
        return self.run_ns / self.period_ns


@dataclass(frozen=True)
class Verdict:
    """The answer for a set of engines."""

    share: float
    slack_ns: dict[str, int | None]
    """Engine -> the least time that is left at one of its deadlines; negative: it may be late; None: there is no bound,
    because more is asked for than the accelerator has."""

    @property
    def late(self) -> list[str]:
        """Engines that may miss a deadline."""
        return [name for name, slack_ns in self.slack_ns.items() if slack_ns is None or slack_ns < 0]


def judge(loads: Sequence[Load], blockers: Sequence[Load] = (), staged: int = 0) -> Verdict:
    """Whether `loads` meet their deadlines.

    blockers: engines that make room for these, but cannot be interrupted once they run. staged: how many runs may stand
    behind the running one when a frame arrives (they cannot be taken back either).
    """
    share = sum(load.share for load in loads)
    end_ns = _busy_ns(loads, blockers, staged)
    if end_ns is None:
        return Verdict(share, dict.fromkeys((load.name for load in loads), None))
    slack_ns: dict[str, int | None] = {}
    for load in loads:
        found = (
            t_ns - _demand_ns(loads, t_ns) - _blocking_ns(loads, blockers, staged, t_ns)
            for t_ns in _deadlines(load, end_ns)
        )
        slack_ns[load.name] = min(found)
    return Verdict(share, slack_ns)


def _deadlines(load: Load, end_ns: int) -> Iterator[int]:
    yield load.deadline_ns
    yield from range(load.deadline_ns + load.period_ns, end_ns + 1, load.period_ns)


def _demand_ns(loads: Sequence[Load], t_ns: int) -> int:
    return sum(
        ((t_ns - load.deadline_ns) // load.period_ns + 1) * load.run_ns for load in loads if load.deadline_ns <= t_ns
    )


def _blocking_ns(loads: Sequence[Load], blockers: Sequence[Load], staged: int, t_ns: int) -> int:
    longest = sorted([load.run_ns for load in loads if load.deadline_ns > t_ns] + [load.run_ns for load in blockers])
    return sum(longest[-1 - staged :])


def _busy_ns(loads: Sequence[Load], blockers: Sequence[Load], staged: int) -> int | None:
    """The longest time without a pause; None when there is no end to it."""
    first_ns = sum(sorted(load.run_ns for load in (*loads, *blockers))[-1 - staged :])
    busy_ns = first_ns + sum(load.run_ns for load in loads)
    for _ in range(ROUNDS):
        after_ns = first_ns + sum(-(-busy_ns // load.period_ns) * load.run_ns for load in loads)
        if after_ns == busy_ns:
            return busy_ns
        busy_ns = after_ns
    return None
