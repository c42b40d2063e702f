"""What comes of a replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.plan import Plan
from cardan.runtime.replay.compare import Comparison

Progress = Callable[[float, int], None]
"""Gets the share that is done (0..1) and the recorded moment that is played next (monotonic nanoseconds)."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay."""

    plan: Plan
    by_steps: bool
    """True: every step had what it had then, to the nanosecond, as the recording's notes say. False: the recording has
    no such notes (or not of all); nodes were stepped when their messages were sent."""
    outputs: dict[str, list[Sample[Any]]]
    """Topic -> what the nodes sent now."""
    comparisons: list[Comparison]
    fed: int
    """Recorded messages that the nodes were given."""
    unreadable: int
    """Recorded messages that could not be read back, and were left out."""
    trouble: str
    """The first of them, or why a node ended, or what the recording lacks; empty when there was nothing."""
    from_ns: int
    to_ns: int
    """Monotonic time of the first and the last recorded message."""
