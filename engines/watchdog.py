"""Ends the process when a run hangs: an accelerator cannot be interrupted, so a fresh process is the only way on.

A thread looks now and then whether a run is under way, and once more when its time is up. What counts is time in which
the host's thread ran or slept: waiting for a core on a busy computer is no hang. A hang inside Python itself stops this
thread too; then the supervisor ends the process, as any node's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from cardan.engines.core_time import CoreTime, ThreadWatch
from cardan.runtime.clock import NS_PER_S, Clock

LOOK_S = 0.05
"""Shorter than what any run may take: what has begun since the last look is found before its time is up. Each look
wakes the process up, so there are no more of them than that needs."""
AGAIN_S = 0.005
"""Until a run is looked at again that has had its time, but not the whole of it on a core."""
JOIN_S = 1.0


class Watchdog:
    """Watches the runs of one thread, which makes it. on_hang: called on the watchdog's own thread, with the engine and
    the milliseconds; it is to end the process."""

    def __init__(self, clock: Clock, on_hang: Callable[[str, float], None]) -> None:
        self._clock = clock
        self._on_hang = on_hang
        self._run: tuple[str, int, int, CoreTime] | None = None
        self._open = threading.Lock()
        """Held until `close`: to wait for a lock costs less than for an event."""
        self._open.acquire()
        self._watched = ThreadWatch(threading.get_native_id())
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def begin(self, engine: str, limit_ns: int) -> None:
        """A run of `engine` begins; it may take so long."""
        self._run = (engine, self._clock.now_ns(), limit_ns, self._watched.read())

    def end(self) -> None:
        """The run has ended."""
        self._run = None

    def look(self, now_ns: int) -> float:
        """Look once; how many seconds there is nothing to look for."""
        run = self._run
        if run is None:
            return LOOK_S
        engine, begin_ns, limit_ns, before = run
        left_ns = begin_ns + limit_ns - now_ns
        if left_ns >= 0:
            return min(LOOK_S, max(AGAIN_S, left_ns / NS_PER_S))
        wants_core = self._watched.wants_core()
        taken_ns = taken(now_ns - begin_ns, before, self._watched.read(), wants_core=wants_core)
        if taken_ns > limit_ns and self._run is run:
            self._on_hang(engine, taken_ns / 1e6)
        return AGAIN_S

    def close(self) -> None:
        """Look no more."""
        if self._open.locked():
            self._open.release()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        self._watched.close()

    def _watch(self) -> None:
        wait_s = LOOK_S
        while not self._open.acquire(timeout=wait_s):
            wait_s = self.look(self._clock.now_ns())


def taken(passed_ns: int, before: CoreTime, now: CoreTime, *, wants_core: bool) -> int:
    """How many of `passed_ns` a thread ran or slept. wants_core: as it was just before `now`.

    While it wants a core only what it ran counts: the kernel adds a wait to those that it has counted when it is over.
    """
    without_waits_ns = passed_ns - (now.waited_ns - before.waited_ns)
    return min(without_waits_ns, now.ran_ns - before.ran_ns) if wants_core else without_waits_ns
