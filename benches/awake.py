"""Processors that wake up at once, as a vehicle's profile has them (`wakeup_latency_us = 0`), for ours and peers alike.

A processor of a virtual machine that fell asleep takes 40 us and more to come back, whatever woke it. A vehicle's
profile keeps them awake while a run lasts, so what is measured here is what that vehicle sees.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rows import Row

from cardan.runtime.supervise.wakeup_latency import hold_or_none


@contextmanager
def processors_awake() -> Iterator[Row]:
    """Holds while it is entered; the row says whether the kernel grants it."""
    held, why_not = hold_or_none(0)
    if held is None:
        print(f"the processors may sleep: {why_not}", file=sys.stderr)
    try:
        holds = None if held is None else held.holds_us
        yield Row("wake-up latency of processors that the kernel holds meanwhile", holds, "us", "shown", True)
    finally:
        if held is not None:
            held.close()
