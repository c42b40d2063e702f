"""How often a topic is published, from the times at which its messages were sent."""

from __future__ import annotations

from cardan.runtime.clock import NS_PER_S

NEWEST_SHARE = 0.1
"""Weight of the newest interval in the running mean: about the last twenty intervals count."""


class RateMeter:
    """A running mean of intervals."""

    def __init__(self) -> None:
        self._interval_ns = 0.0

    def add(self, elapsed_ns: int, messages: int) -> None:
        """So many messages were sent within `elapsed_ns`."""
        interval_ns = elapsed_ns / messages
        if self._interval_ns:
            interval_ns = (1 - NEWEST_SHARE) * self._interval_ns + NEWEST_SHARE * interval_ns
        self._interval_ns = interval_ns

    def hz(self, silent_ns: int) -> float:
        """Messages a second; 0.0 before the first interval. silent_ns: time since the newest message."""
        interval_ns = max(self._interval_ns, silent_ns)
        return NS_PER_S / interval_ns if self._interval_ns and interval_ns else 0.0
