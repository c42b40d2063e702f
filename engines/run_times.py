"""What a run of an engine takes: median and 99th percentile of its newest runs, which admission decides with."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

WINDOW = 1000
"""Runs remembered. Ten slow ones are enough to raise the estimate (half a second at 20 Hz), while a single outlier in
two hundred does not; it falls again when the slow ones have left the window."""
QUANTILE = 0.99


class RunTimes:
    """The newest run times of one engine.

    expected_ns: the estimate while fewer than `trust_after` runs have been seen; a longer run raises it at once.
    """

    def __init__(self, expected_ns: int, *, window: int = WINDOW, trust_after: int = 100) -> None:
        self._newest: deque[int] = deque()
        self._sorted: list[int] = []
        self._window = window
        self._trust_after = trust_after
        self._expected_ns = expected_ns
        self.estimate_ns = expected_ns
        """What the next run is expected to take at most."""
        self.typical_ns = expected_ns
        """What it is expected to take: the median."""

    def add(self, run_ns: int) -> None:
        """Take in one run that has ended."""
        ordered = self._sorted
        if len(self._newest) == self._window:
            del ordered[bisect_left(ordered, self._newest.popleft())]
        self._newest.append(run_ns)
        insort(ordered, run_ns)
        count = len(ordered)
        if count < self._trust_after:
            self.estimate_ns = max(self._expected_ns, ordered[int(QUANTILE * (count - 1))])
        else:
            self.estimate_ns = ordered[int(QUANTILE * (count - 1))]
        self.typical_ns = ordered[count // 2]
