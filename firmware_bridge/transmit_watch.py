"""Did the bus take what was sent? Follows our frames from the hand-over to the echo that confirms them. Pure."""

from __future__ import annotations

from collections import deque

LONGEST_FRAMES = 64
"""Frames that are followed at a time; the oldest gives way. A bridge sends a handful in each period."""


class TransmitWatch:
    """Frames that were handed over and not yet confirmed, oldest first."""

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._open: deque[tuple[int, int, bytes]] = deque(maxlen=LONGEST_FRAMES)
        self.confirmed = 0
        """Echoes that belonged to a frame of ours."""

    def sent(self, frame_id: int, data: bytes, now_ns: int) -> None:
        """A frame was handed to the bus."""
        self._open.append((now_ns, frame_id, data))

    def echoed(self, frame_id: int, data: bytes) -> None:
        """The bus carried a frame of ours."""
        for item in self._open:
            if item[1:] == (frame_id, data):
                self._open.remove(item)
                self.confirmed += 1
                return

    def overdue(self, now_ns: int) -> bool:
        """True when a frame has waited for its echo longer than the limit."""
        return bool(self._open) and now_ns - self._open[0][0] > self._limit_ns
