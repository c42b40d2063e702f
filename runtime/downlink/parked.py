"""Is the vehicle parked? Decided here, by what this computer sees, whatever anybody outside says."""

from __future__ import annotations

import math

from cardan.runtime.clock import NS_PER_S, ns

STANDING_MPS = 0.1
"""Slower than this a vehicle stands: wheel speed sensors do not resolve less."""
STANDING_FOR_S = 5.0
SILENT_S = 1.0
"""A speed or a verdict that is older says nothing."""
DISENGAGED = frozenset({"disabled", "fault-latched"})


class Parked:
    """Follows speed and engagement. What is not known counts as driving."""

    def __init__(self) -> None:
        self._standing_since_ns: int | None = None
        self._speed_ns: int | None = None
        self._engagement = ""
        self._engagement_ns: int | None = None

    def speed(self, speed_mps: float, valid: bool, at_ns: int) -> None:
        """A new speed of the vehicle."""
        stands = valid and math.isfinite(speed_mps) and abs(speed_mps) <= STANDING_MPS
        if not stands or self._is_old(self._speed_ns, at_ns):
            self._standing_since_ns = None
        self._speed_ns = at_ns
        if stands and self._standing_since_ns is None:
            self._standing_since_ns = at_ns

    def engagement(self, engagement: str, at_ns: int) -> None:
        """What the bridge says of who drives."""
        self._engagement, self._engagement_ns = engagement, at_ns

    def reason_against(self, now_ns: int) -> str:
        """Why the vehicle does not count as parked; empty when it does."""
        if self._is_old(self._engagement_ns, now_ns):
            return "the bridge does not say who drives"
        if self._engagement not in DISENGAGED:
            return f"the vehicle is engaged ({self._engagement})"
        if self._is_old(self._speed_ns, now_ns):
            return "the speed of the vehicle is not known"
        if self._standing_since_ns is None:
            return "the vehicle moves"
        stood_s = (now_ns - self._standing_since_ns) / NS_PER_S
        return "" if stood_s >= STANDING_FOR_S else f"the vehicle has stood for {stood_s:.1f} s only"

    def _is_old(self, stamp_ns: int | None, now_ns: int) -> bool:
        return stamp_ns is None or now_ns - stamp_ns > ns(SILENT_S)
