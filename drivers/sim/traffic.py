"""One lead car that drives along the lane centre by a fixed speed profile over time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import NamedTuple

SIGHT_M = 150.0
"""A lead further away than this is out of sight."""
FAR_M = 200.0
"""A lead gets no further away than this: the next one comes into sight sooner or later."""


class SpeedKnot(NamedTuple):
    """The lead has this speed at this time; between knots its speed changes evenly."""

    time_s: float
    speed_mps: float


LEAD_PROFILE: tuple[SpeedKnot, ...] = (
    SpeedKnot(0.0, 22.0),
    SpeedKnot(12.0, 22.0),
    SpeedKnot(17.0, 14.0),  # brakes to a slower pace
    SpeedKnot(26.0, 14.0),
    SpeedKnot(34.0, 22.0),
    SpeedKnot(60.0, 22.0),
    SpeedKnot(70.0, 0.0),  # stops
    SpeedKnot(77.0, 0.0),
    SpeedKnot(80.0, 4.0),  # creeps, and stops once more
    SpeedKnot(86.0, 0.0),
    SpeedKnot(90.0, 0.0),
    SpeedKnot(106.0, 24.0),
    SpeedKnot(125.0, 24.0),
    SpeedKnot(131.0, 34.0),  # speeds away, out of sight
    SpeedKnot(150.0, 34.0),
    SpeedKnot(158.0, 18.0),  # and is caught up with
    SpeedKnot(185.0, 18.0),
    SpeedKnot(190.0, 22.0),
    SpeedKnot(200.0, 22.0),
)
"""200 s, then again."""


@dataclass(frozen=True, kw_only=True)
class Lead:
    """The lead: `rear_s_m` is the distance of its rear bumper along the road."""

    rear_s_m: float
    speed_mps: float
    time_s: float = 0.0


def profile_speed(profile: tuple[SpeedKnot, ...], time_s: float) -> float:
    """Speed at `time_s`; after its last knot the profile starts again."""
    time_s = time_s % profile[-1].time_s
    after = bisect_right([knot.time_s for knot in profile], time_s)
    before, following = profile[after - 1], profile[after]
    share = (time_s - before.time_s) / (following.time_s - before.time_s)
    return before.speed_mps + share * (following.speed_mps - before.speed_mps)


def step_lead(lead: Lead, profile: tuple[SpeedKnot, ...], dt_s: float, our_front_s_m: float) -> Lead:
    """The lead after `dt_s`."""
    time_s = lead.time_s + dt_s
    speed = profile_speed(profile, time_s)
    moved = lead.rear_s_m + (lead.speed_mps + speed) / 2.0 * dt_s
    return replace(lead, time_s=time_s, speed_mps=speed, rear_s_m=min(moved, our_front_s_m + FAR_M))
