"""How a thread spends its time, as the kernel counts it: on a core, waiting for one, or asleep."""

from __future__ import annotations

import os
from typing import NamedTuple


class CoreTime(NamedTuple):
    """Of one thread, since it was made. All zero where the kernel does not say."""

    ran_ns: int
    """On a core."""
    waited_ns: int
    """Waiting for a core; a wait that is not over is not in it."""


class ThreadWatch:
    """Reads the times of one thread, from any thread. Holds two descriptors until `close`."""

    def __init__(self, thread_id: int) -> None:
        folder = f"/proc/self/task/{thread_id}"
        self._schedstat = _open_or_none(f"{folder}/schedstat")
        self._stat = _open_or_none(f"{folder}/stat")

    def read(self) -> CoreTime:
        """The times now; takes a microsecond."""
        if self._schedstat is None:
            return CoreTime(0, 0)
        ran, waited, _ = os.pread(self._schedstat, 64, 0).split()
        return CoreTime(int(ran), int(waited))

    def wants_core(self) -> bool:
        """True when it is on a core, or waits for one, at this moment; takes ten times as long as `read`."""
        if self._schedstat is None or self._stat is None:
            return False  # what it ran is not known either
        _, _, rest = os.pread(self._stat, 256, 0).rpartition(b") ")  # a name may hold anything
        return rest.startswith(b"R")

    def close(self) -> None:
        """Let go of it. Harmless again."""
        for descriptor in (self._schedstat, self._stat):
            if descriptor is not None:
                os.close(descriptor)
        self._schedstat = self._stat = None


def _open_or_none(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
