"""The simulated driver: steers and brakes by the truth while the automation is not engaged."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from cardan.runtime.messages import SimTruth

WHEELBASE_M = 2.579


class DriverConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An ordinary driver."""

    set_speed_mps: float = 24.0
    """Speed without a lead."""
    time_gap_s: float = 1.6
    """Distance to the lead, as time."""
    standstill_gap_m: float = 4.0
    """Distance to a lead that stands."""
    accel_mps2: float = 1.5
    """Usual acceleration."""
    brake_mps2: float = 2.0
    """Usual deceleration."""
    hardest_brake_mps2: float = 8.0
    """Most deceleration."""
    lookahead_s: float = 0.8
    """How far ahead the driver looks, as time."""
    lookahead_min_m: float = 6.0
    """And at least."""


def drive(config: DriverConfig, truth: SimTruth) -> tuple[float, float]:
    """(front-wheel angle, acceleration) that keep the lane and the distance.

    Steering is pure pursuit (Coulter, CMU-RI-TR-92-01); the vehicle of the simulation steers neutrally, so no
    understeer term. Following is the Intelligent Driver Model (Treiber et al., Phys. Rev. E 62, 2000).
    """
    return _steer(config, truth), _accelerate(config, truth)


def _steer(config: DriverConfig, truth: SimTruth) -> float:
    ahead_m = max(config.lookahead_min_m, config.lookahead_s * truth.speed_mps)
    side_m = float(np.interp(ahead_m, truth.centre_x_m, truth.centre_y_m))
    return math.atan(2.0 * WHEELBASE_M * side_m / (ahead_m**2 + side_m**2))


def _accelerate(config: DriverConfig, truth: SimTruth) -> float:
    free = 1.0 - (truth.speed_mps / config.set_speed_mps) ** 4
    wish = config.accel_mps2 * free
    if truth.lead_present:
        closing = truth.speed_mps - truth.lead_speed_mps
        dynamic = truth.speed_mps * closing / (2.0 * math.sqrt(config.accel_mps2 * config.brake_mps2))
        wanted_m = config.standstill_gap_m + max(0.0, truth.speed_mps * config.time_gap_s + dynamic)
        wish -= config.accel_mps2 * (wanted_m / max(truth.lead_gap_m, 0.5)) ** 2
    return max(-config.hardest_brake_mps2, wish)
