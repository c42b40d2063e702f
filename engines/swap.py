"""Another network for a running engine: it runs beside the old one, unseen, until it has proved itself. Pure decisions.

    SHADOW     it gets the frames of the engine when there is time; what it says is checked and thrown away
    SERVING    it serves; the old one stays loaded, and comes back when the new one gives bad numbers

A frame on which both are bad (a covered lens) says nothing about either.
"""

from __future__ import annotations

from enum import Enum, auto

SHADOW_FRAMES = 20
STRIKES = 5
"""So many bad results in a row are no accident: another network takes over."""


class Next(Enum):
    """What follows from a frame."""

    GO_ON = auto()
    SWITCH = auto()
    REFUSE = auto()


class Trial:
    """The shadow time of one network. frames: how many it has to pass."""

    def __init__(self, deadline_ns: int, frames: int = SHADOW_FRAMES) -> None:
        self._deadline_ns = deadline_ns
        self.left = frames
        self.why_refused = ""

    def ran(self, problem: str | None, run_ns: int, *, other_is_bad: bool) -> Next:
        """One frame has been run. problem: what was wrong with it. other_is_bad: so was the serving network's."""
        if problem is not None and not other_is_bad:
            return self._refuse(problem)
        if run_ns > self._deadline_ns:
            return self._refuse(f"a run took {run_ns / 1e6:.1f} ms, and {self._deadline_ns / 1e6:g} ms is its deadline")
        self.left -= problem is None
        return Next.SWITCH if self.left <= 0 else Next.GO_ON

    def _refuse(self, why: str) -> Next:
        self.why_refused = why
        return Next.REFUSE


class Strikes:
    """Counts bad results in a row."""

    def __init__(self, limit: int = STRIKES) -> None:
        self._limit = limit
        self._count = 0

    def out(self, bad: bool) -> bool:
        """Take in one result; True when the network has had its chances. Counts from zero again then."""
        self._count = self._count + 1 if bad else 0
        if self._count < self._limit:
            return False
        self._count = 0
        return True
