"""Aggregates over the last seconds in bounded memory: min, max, sum and count of what came, without drift.

Time is cut into slices of a 128th of the window; a slice keeps its aggregate only. The slices are a queue of two stacks
(each entry of the one that is emptied knows the aggregate of everything behind it), so that nothing is ever
subtracted: a sum of floats stays what its parts add up to.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SLICES = 128


class Aggregate(NamedTuple):
    """Of some values."""

    number: int
    total: float
    least: float
    most: float

    def joined(self, other: Aggregate) -> Aggregate:
        """Of the values of both."""
        return Aggregate(
            self.number + other.number,
            self.total + other.total,
            min(self.least, other.least),
            max(self.most, other.most),
        )


NOTHING = Aggregate(0, 0.0, math.inf, -math.inf)


def slice_ns(span_ns: int) -> int:
    """How long one slice of a window is: the window ends sharp and begins within one slice."""
    return -(-span_ns // SLICES)


class SlidingWindow:
    """The values of the last `span_ns`. Times never go back."""

    def __init__(self, span_ns: int) -> None:
        self._slice_ns = slice_ns(span_ns)
        self._front: list[tuple[int, Aggregate]] = []
        self._back: list[tuple[int, Aggregate]] = []
        self._back_total = NOTHING

    def add(self, now_ns: int, value: float) -> None:
        """One more value, which came at `now_ns`."""
        number = now_ns // self._slice_ns
        one = Aggregate(1, value, value, value)
        if self._back and self._back[-1][0] == number:
            self._back[-1] = (number, self._back[-1][1].joined(one))
        else:
            self._back.append((number, one))
        self._back_total = self._back_total.joined(one)

    def aggregate(self, now_ns: int) -> Aggregate:
        """Of what came in the last slices, this one included."""
        first = now_ns // self._slice_ns - SLICES + 1
        while self._front or self._back:
            if not self._front:
                self._turn()
            if self._front[-1][0] >= first:
                break
            self._front.pop()
        front = self._front[-1][1] if self._front else NOTHING
        return front.joined(self._back_total)

    def _turn(self) -> None:
        """Put the newer stack upside down onto the empty one: its top is the oldest slice, with all behind it."""
        total = NOTHING
        for number, aggregate in reversed(self._back):
            total = aggregate.joined(total)
            self._front.append((number, total))
        self._back.clear()
        self._back_total = NOTHING

    def __len__(self) -> int:
        """Slices in memory: at most twice SLICES."""
        return len(self._front) + len(self._back)
