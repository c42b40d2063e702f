"""Lane keeping: from lane lines to a front-wheel angle (pure functions).

Pure pursuit after R. C. Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm", CMU-RI-TR-92-01,
with the understeer term of the linear single-track model, so that it also holds the lane at motorway speed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cardan.runtime.node import NodeConfig


class LateralConfig(NodeConfig, frozen=True):
    """Lane keeping of one vehicle."""

    wheelbase_m: float = 2.578
    """Distance of the axles."""
    understeer_s2pm2: float = 0.0
    """Extra steering per curvature and speed squared, divided by the wheelbase (K in L * (1 + K v^2))."""
    lookahead_s: float = 0.9
    """How far ahead the target lies, as time."""
    lookahead_min_m: float = 7.0
    """Nearest target."""
    lookahead_max_m: float = 32.0
    """Farthest target."""
    integral_gain: float = 0.0
    """Radians per metre and second of offset at the nearest station; takes out a steady offset."""
    integral_limit_rad: float = 0.01
    """Most that the integral may steer."""
    rate_radps: float = 0.45
    """Fastest change of the front-wheel angle; inside the envelope, so that the guard has nothing to clamp."""
    lateral_jerk_mps3: float = 4.5
    """Largest lateral jerk that steering may cause (ISO 11270 allows 5.0)."""


def lane_centre_m(left_y_m: Sequence[float], right_y_m: Sequence[float]) -> list[float]:
    """Middle between the two lines at each station, vehicle frame."""
    return [(left + right) / 2.0 for left, right in zip(left_y_m, right_y_m, strict=True)]


def interpolate(x_m: Sequence[float], y_m: Sequence[float], at_m: float) -> float:
    """y at `at_m` on the polyline; the first or last value outside it. x_m ascends."""
    for index in range(1, len(x_m)):
        if at_m <= x_m[index]:
            span = x_m[index] - x_m[index - 1]
            share = max(0.0, (at_m - x_m[index - 1]) / span)
            return y_m[index - 1] + share * (y_m[index] - y_m[index - 1])
    return y_m[-1]


def advance_path(
    x_m: Sequence[float], y_m: Sequence[float], speed_mps: float, yaw_rate_radps: float, age_s: float
) -> tuple[list[float], list[float]]:
    """The path as it lies now, when the vehicle has moved on for `age_s` since the picture was taken."""
    heading = yaw_rate_radps * age_s
    travelled = speed_mps * age_s
    moved_x, moved_y = travelled * math.cos(heading / 2), travelled * math.sin(heading / 2)
    cos_h, sin_h = math.cos(heading), math.sin(heading)
    shifted = [(x - moved_x, y - moved_y) for x, y in zip(x_m, y_m, strict=True)]
    return (
        [x * cos_h + y * sin_h for x, y in shifted],
        [-x * sin_h + y * cos_h for x, y in shifted],
    )


def pursue(config: LateralConfig, x_m: Sequence[float], y_m: Sequence[float], speed_mps: float) -> float:
    """Front-wheel angle that leads the rear axle over the path point at the look-ahead distance."""
    wanted = min(config.lookahead_max_m, max(config.lookahead_min_m, config.lookahead_s * speed_mps))
    ahead = min(max(wanted, x_m[0]), x_m[-1])
    side = interpolate(x_m, y_m, ahead)
    curvature = 2.0 * side / (ahead * ahead + side * side)
    return math.atan(config.wheelbase_m * curvature * (1.0 + config.understeer_s2pm2 * speed_mps * speed_mps))


def steering_rate_radps(config: LateralConfig, speed_mps: float) -> float:
    """Fastest change of the front-wheel angle at this speed: lateral jerk is v^2 / wheelbase times the rate."""
    return min(config.rate_radps, config.lateral_jerk_mps3 * config.wheelbase_m / max(speed_mps, 1.0) ** 2)


def limit_change(previous: float, wanted: float, largest_change: float) -> float:
    """`wanted`, but no further than `largest_change` from `previous`."""
    return min(previous + largest_change, max(previous - largest_change, wanted))
