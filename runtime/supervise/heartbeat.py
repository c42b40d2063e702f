"""Whether the supervisor is alive, as its guardian sees it: from one word of the vitals, with nothing else imported.

Silence is counted in our own looks, each worth two looks' time at most: when the whole computer stood still, that is
not the supervisor's fault.
"""

from __future__ import annotations

import os
from pathlib import Path

from cardan.runtime.clock import ns

HEARTBEAT_AT = 48
"""Offset of Vitals.HEARTBEAT_NS in the page."""
WORD = 8
LOOK_NS = ns(0.5)
LIMIT_NS = ns(3.0)
"""The supervisor beats every 100 ms or oftener; a disk on which it writes a line of its log may stall for a while."""
START_LIMIT_NS = ns(60.0)
"""Before the first beat it loads every library of its nodes."""


class Heartbeat:
    """Watches the vitals at `path`, which need not be there yet."""

    def __init__(self, path: Path, now_ns: int) -> None:
        self._path = path
        self._last_beat_ns = 0
        self._looked_ns = now_ns
        self.due_ns = now_ns + LOOK_NS
        """When to look next."""
        self.silent_ns = 0

    def is_silent(self, now_ns: int) -> bool:
        """Look; True when the silence has passed the limit."""
        beat_ns, elapsed_ns = self._read(), now_ns - self._looked_ns
        self.silent_ns = 0 if beat_ns != self._last_beat_ns else self.silent_ns + min(elapsed_ns, 2 * LOOK_NS)
        self._last_beat_ns, self._looked_ns, self.due_ns = beat_ns, now_ns, now_ns + LOOK_NS
        return self.silent_ns > (LIMIT_NS if beat_ns else START_LIMIT_NS)

    def _read(self) -> int:
        """The last beat; 0 while there was none."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            return int.from_bytes(os.pread(descriptor, WORD, HEARTBEAT_AT), "little")
        finally:
            os.close(descriptor)
