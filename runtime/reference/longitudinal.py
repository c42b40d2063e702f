"""Adaptive cruise: from a lead's measured gap to an acceleration.

Gap and closing speed are estimated by an alpha-beta filter; the acceleration is the Intelligent Driver Model of
M. Treiber, A. Hennecke and D. Helbing, Phys. Rev. E 62 (2000) 1805, within the limits of ISO 15622.
"""

from __future__ import annotations

import math

from cardan.runtime.node import NodeConfig


class LongitudinalConfig(NodeConfig, frozen=True):
    """Adaptive cruise of one vehicle."""

    set_speed_mps: float = 25.0
    """Speed without a lead."""
    time_gap_s: float = 1.8
    """Distance to the lead, as time."""
    standstill_gap_m: float = 4.0
    """Distance to a lead that stands."""
    comfort_accel_mps2: float = 1.4
    """Usual acceleration."""
    comfort_brake_mps2: float = 1.5
    """Usual deceleration."""
    accel_max_mps2: float = 2.0
    """Most that is ever asked for."""
    accel_min_mps2: float = -3.5
    """Least that is ever asked for."""
    jerk_mps3: float = 8.0
    """Fastest change of the acceleration; inside the envelope."""
    alpha: float = 0.4
    """Gain of the gap filter for the gap, per measurement."""
    beta: float = 0.06
    """Gains of the gap filter, per measurement, once it has settled."""
    hold_s: float = 0.5
    """A lead that is not seen any more is kept this long."""


class LeadTracker:
    """Gap to the lead and its rate of change, from noisy measurements that come and go. State of one controller."""

    def __init__(self, config: LongitudinalConfig) -> None:
        self._config = config
        self._seen_ns = 0
        self._updated_ns = 0
        self._hits = 0
        self._sightings = 0
        self.gap_m = 0.0
        self.rate_mps = 0.0
        """Change of the gap: negative while closing in."""

    def measure(self, stamp_ns: int, gap_m: float | None) -> None:
        """One picture, taken at `stamp_ns`: the measured gap, or None when no lead was seen."""
        if gap_m is None:
            self._hits = max(0, self._hits - 1)
            if (stamp_ns - self._seen_ns) / 1e9 > self._config.hold_s:
                self._hits = 0
            return
        if self._hits == 0:
            self.gap_m, self.rate_mps, self._sightings = gap_m, 0.0, 0
        else:
            self._correct((stamp_ns - self._updated_ns) / 1e9, gap_m)
        self._hits = min(10, self._hits + 1)
        self._seen_ns = self._updated_ns = stamp_ns

    def _correct(self, elapsed_s: float, gap_m: float) -> None:
        """One step of the filter. It starts as a straight line through all sightings, so it learns a new lead fast.

        Gains of the growing memory: E. Brookner, "Tracking and Kalman Filtering Made Easy", 1998, section 1.2.10.
        """
        self._sightings += 1
        n = self._sightings
        alpha = max(self._config.alpha, 2.0 * (2 * n + 1) / ((n + 1) * (n + 2)))
        beta = max(self._config.beta, 6.0 / ((n + 1) * (n + 2)))
        predicted = self.gap_m + self.rate_mps * elapsed_s
        error = gap_m - predicted
        self.gap_m = predicted + alpha * error
        self.rate_mps += beta * error / max(elapsed_s, 0.01)

    def gap_now_m(self, now_ns: int) -> float | None:
        """The gap at `now_ns`, or None while there is no lead (two sightings make one)."""
        if self._hits < 2 or (now_ns - self._seen_ns) / 1e9 > self._config.hold_s:
            return None
        return max(0.1, self.gap_m + self.rate_mps * (now_ns - self._updated_ns) / 1e9)


def cruise_accel(config: LongitudinalConfig, speed_mps: float, gap_m: float | None, rate_mps: float) -> float:
    """Acceleration of the Intelligent Driver Model; gap_m None = free road."""
    free = 1.0 - (speed_mps / config.set_speed_mps) ** 4
    pressure = 0.0
    if gap_m is not None:
        braking = 2.0 * math.sqrt(config.comfort_accel_mps2 * config.comfort_brake_mps2)
        dynamic = speed_mps * config.time_gap_s - speed_mps * rate_mps / braking
        pressure = ((config.standstill_gap_m + max(0.0, dynamic)) / gap_m) ** 2
    accel = config.comfort_accel_mps2 * (free - pressure)
    return min(config.accel_max_mps2, max(config.accel_min_mps2, accel))
