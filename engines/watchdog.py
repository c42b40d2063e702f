"""Ends the process when a run hangs: an accelerator cannot be interrupted, so a fresh process is the only way on.

A thread looks every few milliseconds whether the run that was begun has taken too long. What counts is time in which
the host's thread could have run: waiting for a core on a busy computer is no hang (`run_delay` of the kernel's
schedstat). A hang inside Python itself stops this thread too; then the supervisor ends the process, as any node's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from cardan.runtime.clock import Clock

LOOK_S = 0.02
JOIN_S = 1.0


class Watchdog:
    """Watches the runs of one thread, which makes it. on_hang: called on the watchdog's own thread, with the engine and
    the milliseconds; it is to end the process."""

    def __init__(self, clock: Clock, on_hang: Callable[[str, float], None]) -> None:
        self._clock = clock
        self._on_hang = on_hang
        self._run: tuple[str, int, int] | None = None
        self._seen: tuple[object, int] = (None, 0)
        self._stop = threading.Event()
        self._schedstat = _open_or_none(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def begin(self, engine: str, limit_ns: int) -> None:
        """A run of `engine` begins; it may take so long."""
        self._run = (engine, self._clock.now_ns(), limit_ns)

    def end(self) -> None:
        """The run has ended."""
        self._run = None

    def look(self, now_ns: int) -> None:
        """Look once. A run is judged from the second look on: the first notes how long the thread has waited so far."""
        run = self._run
        if run is None:
            return
        if self._seen[0] is not run:
            self._seen = run, self._waited_ns()
            return
        engine, begin_ns, limit_ns = run
        if now_ns - begin_ns <= limit_ns:
            return
        taken_ns = now_ns - begin_ns - (self._waited_ns() - self._seen[1])
        if taken_ns > limit_ns and self._run is run:
            self._on_hang(engine, taken_ns / 1e6)

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_S)
        if self._schedstat is not None:
            os.close(self._schedstat)
            self._schedstat = None

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.look(self._clock.now_ns())

    def _waited_ns(self) -> int:
        """How long the thread has waited for a core in its life; 0 where the kernel does not say."""
        return 0 if self._schedstat is None else int(os.pread(self._schedstat, 64, 0).split()[1])


def _open_or_none(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
