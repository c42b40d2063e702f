"""An outbox without its node, for a process of a test or a benchmark that is killed in the end."""

from __future__ import annotations

from typing import NoReturn

from cardan.runtime.clock import MonotonicClock
from cardan.runtime.outbox.door import Door
from cardan.runtime.outbox.spool import Spool, Stamp
from cardan.runtime.readable import readable

PERIOD_S = 0.005


def serve_for_ever(spool: Spool, period_s: float = PERIOD_S) -> NoReturn:
    """Open `spool` and its door and do what the node does. period_s: between two steps when nobody comes."""
    clock = MonotonicClock()
    spool.open()
    door = Door(spool)
    door.open()
    while True:
        readable([door.fileno()], period_s)
        now = Stamp(clock.now_ns(), clock.wall_ns())
        while door.serve(now):
            door.answer()
        spool.step(now)
        door.answer()
