"""Results on their way into the outbox: kept on disk until it has them, and those of strangers kept few."""

from __future__ import annotations

from cardan.runtime.clock import ns
from cardan.runtime.downlink.memory import Memory, Result

STRANGERS_A_MINUTE = 6
"""So often somebody is told that what he sent is not to be trusted; the rest is counted only."""
MOST_UNTOLD = 200


class Answers:
    """What is to be told of what was asked."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._strangers_ns: list[int] = []
        self.unsaid = 0
        """Results that were only counted."""

    def add(self, result: Result, now_ns: int) -> None:
        """Tell this; it is durable with the next write of the memory."""
        if not result.key and not self._stranger_is_told(now_ns):
            self.unsaid += 1
            return
        untold = self._memory.kept.untold
        if len(untold) >= MOST_UNTOLD:
            self.unsaid += 1
            del untold[0]
        untold.append(result)

    def _stranger_is_told(self, now_ns: int) -> bool:
        self._strangers_ns = [stamp_ns for stamp_ns in self._strangers_ns if now_ns - stamp_ns < ns(60.0)]
        if len(self._strangers_ns) >= STRANGERS_A_MINUTE:
            return False
        self._strangers_ns.append(now_ns)
        return True
