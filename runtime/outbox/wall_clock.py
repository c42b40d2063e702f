"""The wall clock as the outbox sees it: never trusted for order, always written down, and put right afterwards.

Records are ordered by (boot, sequence) and stamped with monotonic and wall time and the quality of the latter. Whenever
wall time has moved against monotonic time, or its quality has changed, a critical record says so; with these,
`Corrections` gives every record of a boot the wall time that the best of them knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from cardan.runtime.clock import NS_PER_S, Clock, ns
from cardan.runtime.kernel_clock import EARLIEST_NS, error_s_or_none, read_timex
from cardan.runtime.outbox.segment import ClockQuality
from cardan.runtime.outbox.spool import Stamp

CLOCK_TOPIC = "outbox/clock"
LOOK_NS = NS_PER_S
MOVED_NS = ns(0.05)
TOLD_EVERY_NS = 3600 * NS_PER_S
"""A clock that drifts slowly is written down this often."""


class ClockReading(msgspec.Struct, frozen=True, kw_only=True):
    """Both clocks at one moment."""

    boot: str
    mono_ns: int
    wall_ns: int
    quality: str
    """unset, free or kept."""
    moved_ns: int = 0
    """How far wall time has moved against monotonic time since the reading before."""

    @property
    def rank(self) -> int:
        """The better the quality, the higher."""
        return ClockQuality[self.quality.upper()].value if self.quality.upper() in ClockQuality.__members__ else 0


class WallWatch:
    """Stamps records, and says when the wall clock has moved."""

    def __init__(self, clock: Clock, boot: str, kernel: Callable[[], bytes] = read_timex) -> None:
        self._clock = clock
        self._boot = boot
        self._kernel = kernel
        self._looked_ns: int | None = None
        self._quality = ClockQuality.FREE
        self._told: ClockReading | None = None

    def stamp(self) -> Stamp:
        """Now, on both clocks."""
        mono_ns, wall_ns = self._clock.now_ns(), self._clock.wall_ns()
        if self._looked_ns is None or mono_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns, self._quality = mono_ns, self._quality_of(wall_ns)
        return Stamp(mono_ns, wall_ns, self._quality)

    def news_or_none(self, stamp: Stamp) -> ClockReading | None:
        """A reading that should be written down: the first, one that moved, one of another quality, one an hour."""
        told = self._told
        moved_ns = 0 if told is None else (stamp.wall_ns - told.wall_ns) - (stamp.mono_ns - told.mono_ns)
        quality = stamp.quality.name.lower()
        if (told is not None and stamp.mono_ns - told.mono_ns < LOOK_NS) or (
            told is not None
            and abs(moved_ns) < MOVED_NS
            and quality == told.quality
            and stamp.mono_ns - told.mono_ns < TOLD_EVERY_NS
        ):
            return None
        self._told = ClockReading(
            boot=self._boot, mono_ns=stamp.mono_ns, wall_ns=stamp.wall_ns, quality=quality, moved_ns=moved_ns
        )
        return self._told

    def _quality_of(self, wall_ns: int) -> ClockQuality:
        if wall_ns < EARLIEST_NS:
            return ClockQuality.UNSET
        try:
            kept = error_s_or_none(self._kernel()) is not None
        except OSError:
            return ClockQuality.FREE
        return ClockQuality.KEPT if kept else ClockQuality.FREE


def clock_record(reading: ClockReading) -> bytes:
    """The record of a reading."""
    return msgspec.json.encode({"topic": CLOCK_TOPIC, "message": reading})


class Corrections:
    """The wall time of any moment of the boots that were read."""

    def __init__(self, readings: Iterable[ClockReading]) -> None:
        self._readings: dict[str, list[ClockReading]] = {}
        for reading in readings:
            self._readings.setdefault(reading.boot, []).append(reading)

    def wall_ns_or_none(self, boot: str, mono_ns: int) -> tuple[int, ClockQuality] | None:
        """Wall time of a monotonic stamp, and how good it is: by the best reading of that boot, of those the nearest.

        None for a boot without a reading.
        """
        readings = self._readings.get(boot)
        if not readings:
            return None
        best = max(readings, key=lambda reading: (reading.rank, -abs(reading.mono_ns - mono_ns)))
        return best.wall_ns + mono_ns - best.mono_ns, ClockQuality(best.rank)
