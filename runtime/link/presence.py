"""Is the other computer there? Two states, and every change counted."""

from __future__ import annotations

from enum import Enum


class Change(Enum):
    """What a look at the presence has found."""

    NONE = 0
    CAME = 1
    WENT = 2


class Presence:
    """Up from the first answer on, until none has come for `timeout_ns` or the connection is gone."""

    def __init__(self, timeout_ns: int, now_ns: int) -> None:
        self._timeout_ns = timeout_ns
        self.up = False
        self.since_ns = now_ns
        """When it came or went; before it came for the first time: when we began to wait."""
        self.answered_ns = 0
        self.outages = 0
        """How often it went."""

    def answered(self, now_ns: int) -> Change:
        """The other side has answered at this moment."""
        self.answered_ns = now_ns
        return Change.NONE if self.up else self._turn(now_ns)

    def look(self, now_ns: int) -> Change:
        """Nothing has been heard now."""
        return self._turn(now_ns) if self.up and now_ns - self.answered_ns > self._timeout_ns else Change.NONE

    def cut(self, now_ns: int) -> Change:
        """The connection is gone."""
        return self._turn(now_ns) if self.up else Change.NONE

    def _turn(self, now_ns: int) -> Change:
        self.up = not self.up
        self.since_ns = now_ns
        if self.up:
            return Change.CAME
        self.outages += 1
        return Change.WENT
