"""Time as integer nanoseconds: the monotonic clock of the machine, and a fake one for tests.

Every stamp and deadline is on the monotonic clock. Wall time is a label for people and files,
never an input to a decision: it may jump by hours when a vehicle gets its first GNSS fix.
"""

from __future__ import annotations

import os
import time
from threading import get_ident
from typing import Protocol

NS_PER_S = 1_000_000_000
SPIN_NS = 100_000
"""How long before a deadline sleeping ends and spinning begins: CPython's sleep wakes up 20-70 us
late, so the last 100 us are spun (1 % of a core at 100 Hz)."""
SPIN_MOST_NS = 400_000
"""Without SCHED_FIFO, and where processors sleep deeply (a virtual machine, a laptop), sleep ends later: then spinning
begins up to so early."""
FORGET = 64
"""After about so many sleeps that ended in time, spinning begins late again."""
SPIN_FROM_HZ = 50.0
"""Nodes of this rate and above spin before their deadlines."""


def ns(seconds: float) -> int:
    """`seconds` as integer nanoseconds, rounded to the nearest."""
    return round(seconds * NS_PER_S)


class Clock(Protocol):
    """What every part of cardan takes time from."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds."""

    def wall_ns(self) -> int:
        """Wall time in nanoseconds since 1970: a label, never an input to a decision."""

    def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
        """Block until `deadline_ns`; with `spin`, spin the last 100 us to wake up on time."""


class MonotonicClock:
    """The clock of this machine (CLOCK_MONOTONIC, shared by all its processes)."""

    # The functions themselves: every message and step asks a few times, and a method around them doubles the cost.
    now_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)
    _early_ns = SPIN_NS

    def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
        early_ns = self._early_ns if spin else 0
        remaining_ns = deadline_ns - time.monotonic_ns() - early_ns
        if remaining_ns > 0:
            time.sleep(remaining_ns / NS_PER_S)
        if not spin:
            return
        now_ns = time.monotonic_ns()
        if remaining_ns > 0:
            following_ns = next_early_ns(early_ns, now_ns - (deadline_ns - early_ns))
            # Of other schedulers the admission counts on SPIN_NS; they are asked for only where something would change.
            if following_ns != early_ns and os.sched_getscheduler(0) == os.SCHED_OTHER:
                self._early_ns = following_ns
        while now_ns < deadline_ns:
            now_ns = time.monotonic_ns()


def next_early_ns(early_ns: int, late_ns: int) -> int:
    """How long before its deadline the next sleep ends. late_ns: by how much this one ended after its time.

    Half as much again as it was late: up at once, down little by little.
    """
    wanted_ns = min(max(late_ns + late_ns // 2, SPIN_NS), SPIN_MOST_NS)
    return wanted_ns if wanted_ns > early_ns else early_ns - (early_ns - wanted_ns) // FORGET


class NotingClock(MonotonicClock):
    """The clock of this machine, and a note of each time that it has told the thread which made it."""

    def __init__(self) -> None:
        self.reads_ns: list[int] = []
        self._thread = get_ident()

    def now_ns(self) -> int:
        now_ns = time.monotonic_ns()
        if get_ident() == self._thread:
            self.reads_ns.append(now_ns)
        return now_ns


class FakeClock:
    """A clock that moves only when told to: tests of hours run in milliseconds."""

    def __init__(self, start_ns: int = 1_000 * NS_PER_S) -> None:
        self._now_ns = start_ns
        self._wall_offset_ns = 1_700_000_000 * NS_PER_S

    def now_ns(self) -> int:
        return self._now_ns

    def wall_ns(self) -> int:
        return self._now_ns + self._wall_offset_ns

    def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
        self._now_ns = max(self._now_ns, deadline_ns)

    def advance_ns(self, duration_ns: int) -> None:
        """Move time forward."""
        self._now_ns += duration_ns

    def advance_s(self, duration_s: float) -> None:
        """Move time forward by seconds."""
        self.advance_ns(ns(duration_s))

    def jump_wall_s(self, jump_s: float) -> None:
        """Let wall time jump, as a first GNSS fix does; monotonic time is untouched."""
        self._wall_offset_ns += ns(jump_s)
