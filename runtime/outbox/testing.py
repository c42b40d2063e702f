"""An outbox without its node: in a process of a test or a benchmark that is killed in the end, or on a thread."""

from __future__ import annotations

import threading
from typing import NoReturn

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.outbox.door import Door
from cardan.runtime.outbox.spool import Spool, Stamp
from cardan.runtime.readable import readable

PERIOD_S = 0.005


def serve_for_ever(spool: Spool, period_s: float = PERIOD_S) -> NoReturn:
    """Open `spool` and its door and do what the node does. period_s: between two steps when nobody comes."""
    door = _opened(spool)
    while True:
        _step(spool, door, period_s)


class Served:
    """`spool` and its door, open on a thread of their own until `close`."""

    def __init__(self, spool: Spool) -> None:
        self.spool, self.folder = spool, spool.folder
        self.door = _opened(spool)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """A second time does nothing."""
        if self._ends.is_set():
            return
        self._ends.set()
        self._thread.join()
        self.door.close()
        self.spool.close(_now())

    def _run(self) -> None:
        while not self._ends.is_set():
            _step(self.spool, self.door, PERIOD_S)


def _opened(spool: Spool) -> Door:
    spool.open()
    door = Door(spool)
    door.open()
    return door


def _step(spool: Spool, door: Door, period_s: float) -> None:
    readable([door.fileno()], period_s)
    now = _now()
    while door.serve(now):
        door.answer()
    spool.step(now)
    door.answer()


def _now() -> Stamp:
    clock = MonotonicClock()
    return Stamp(clock.now_ns(), clock.wall_ns())
