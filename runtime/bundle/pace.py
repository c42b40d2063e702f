"""Pace: whoever collects beside a vehicle that runs takes a small share of a processor, and so some seconds more."""

from __future__ import annotations

import resource

from cardan.runtime.clock import Clock, ns

SHARE = 0.1
"""Of one processor."""
LONGEST_NS = ns(9.0)
"""After so long there is no more resting: a person waits."""


class Pace:
    """Counts the processor time of this process and of its children that have ended, from its making on."""

    def __init__(self, clock: Clock, share: float = SHARE, longest_ns: int = LONGEST_NS) -> None:
        self._clock = clock
        self._share = share
        self._began_ns = clock.now_ns()
        self._ends_ns = self._began_ns + longest_ns
        self._used_ns = used_ns()

    def rest(self) -> None:
        """Sleep until the share is kept again, at most until the end."""
        due_ns = self._began_ns + round((used_ns() - self._used_ns) / self._share)
        self._clock.sleep_until_ns(min(due_ns, self._ends_ns))


def used_ns() -> int:
    """Processor time so far, user and system."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return ns(sum(usage.ru_utime + usage.ru_stime for usage in usages))
