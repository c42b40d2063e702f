"""Pace: whoever collects beside a vehicle that runs takes a small share of a processor, and so some seconds more."""

from __future__ import annotations

import resource

from cardan.runtime.clock import Clock, ns

SHARE = 0.085
"""Of one processor; what is left to a tenth is for the end, when nobody rests any more."""
LONGEST_NS = ns(8.9)
"""After so long there is no more resting: a person waits."""


class Pace:
    """Counts the processor time of this process since its start, and of its children that have ended.

    began_ns: when the process was started.
    """

    def __init__(self, clock: Clock, began_ns: int, share: float = SHARE, longest_ns: int = LONGEST_NS) -> None:
        self._clock = clock
        self._share = share
        self._began_ns = began_ns
        self._ends_ns = began_ns + longest_ns

    def rest(self, more_ns: int = 0) -> None:
        """Sleep until the share is kept again, at most until the end. more_ns: taken by children that live."""
        due_ns = self._began_ns + round((used_ns() + more_ns) / self._share)
        self._clock.sleep_until_ns(min(due_ns, self._ends_ns))


def used_ns() -> int:
    """Processor time so far, user and system."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return ns(sum(usage.ru_utime + usage.ru_stime for usage in usages))
