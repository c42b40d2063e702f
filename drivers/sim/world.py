"""The simulated world: our vehicle on an endless road behind a lead car, stepped by the inputs of its actuators.

The same configuration and the same inputs give the same states: there is no clock and no chance in here.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from cardan.drivers.sim.road import LANE_WIDTH_M, build_road, centre_ahead, highway_pieces, point_at, project
from cardan.drivers.sim.traffic import LEAD_PROFILE, SIGHT_M, Lead, step_lead
from cardan.drivers.sim.vehicle_model import REAR_OVERHANG_M, ActuatorConfig, VehicleModel, VehicleMotion
from cardan.runtime.messages import SimTruth

STATIONS_M: NDArray[np.float64] = np.concatenate([np.arange(0.0, 64.0, 4.0), np.arange(70.0, 245.0, 10.0)])
"""Distances ahead of the rear axle at which the truth gives the lane centre."""
FRONT_BUMPER_M = 4.508 - REAR_OVERHANG_M
"""Rear axle to front bumper: length of the vehicle (parameter set) without the rear overhang."""
_STATIONS = tuple(STATIONS_M.tolist())


class WorldConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scenario."""

    seed: int = 3
    """Picks the road."""
    start_s_m: float = 20.0
    """Along the road."""
    start_offset_m: float = 0.0
    """Left of the centre of the lane."""
    start_speed_mps: float = 20.0
    """Of the vehicle, and of the lead."""
    lead: bool = True
    """Whether somebody drives ahead."""
    lead_gap_m: float = 40.0
    """At the start."""
    lead_time_s: float = 0.0
    """Where in its profile the lead starts."""
    actuators: ActuatorConfig = ActuatorConfig()
    """How steering and drive follow."""


class World:
    """Holds the state of the world; `step` moves it on, `truth` tells it. Needs the extra `sim`."""

    def __init__(self, config: WorldConfig) -> None:
        self._road = build_road(highway_pieces(config.seed))
        self._model = VehicleModel(config.actuators)
        start = point_at(self._road, config.start_s_m)
        self._motion = VehicleMotion(
            x_m=start.x_m - config.start_offset_m * math.sin(start.heading_rad),
            y_m=start.y_m + config.start_offset_m * math.cos(start.heading_rad),
            heading_rad=start.heading_rad,
            speed_mps=config.start_speed_mps,
        )
        self._s_m, self._offset_m = config.start_s_m, config.start_offset_m
        lead_s_m = config.start_s_m + FRONT_BUMPER_M + config.lead_gap_m
        self._lead = Lead(rear_s_m=lead_s_m, speed_mps=config.start_speed_mps, time_s=config.lead_time_s)
        self._has_lead = config.lead
        self._steps = 0

    def step(self, dt_s: float, steering_rad: float, accel_mps2: float) -> None:
        """Move on by `dt_s` while the front wheels are asked for `steering_rad` and the drive for `accel_mps2`."""
        self._motion = self._model.step(self._motion, dt_s, steering_rad, accel_mps2)
        guess = self._s_m + self._motion.speed_mps * dt_s
        self._s_m, self._offset_m = project(self._road, self._motion.x_m, self._motion.y_m, guess)
        self._lead = step_lead(self._lead, LEAD_PROFILE, dt_s, self._s_m + FRONT_BUMPER_M)
        self._steps += 1

    def truth(self, *, driver_in_control: bool = False) -> SimTruth:
        """The state of the world now."""
        motion, here = self._motion, point_at(self._road, self._s_m)
        error = _wrapped(motion.heading_rad - here.heading_rad)
        centre = centre_ahead(self._road, self._s_m, self._offset_m, error, STATIONS_M)
        gap_m = self._lead.rear_s_m - self._s_m - FRONT_BUMPER_M
        present = self._has_lead and gap_m <= SIGHT_M
        lead_x, lead_y, lead_heading = self._lead_pose() if present else (0.0, 0.0, 0.0)
        return SimTruth(
            step=self._steps,
            x_m=motion.x_m,
            y_m=motion.y_m,
            heading_rad=_wrapped(motion.heading_rad),
            speed_mps=motion.speed_mps,
            accel_mps2=motion.accel_mps2 if motion.speed_mps > 0.0 else 0.0,
            yaw_rate_radps=motion.yaw_rate_radps,
            steering_rad=motion.steering_rad,
            road_s_m=self._s_m,
            lane_offset_m=self._middle_offset_m(error, here.curvature),
            lane_width_m=LANE_WIDTH_M,
            centre_x_m=_STATIONS,
            centre_y_m=tuple(centre.tolist()),
            lead_present=present,
            lead_gap_m=gap_m if present else 0.0,
            lead_x_m=lead_x,
            lead_y_m=lead_y,
            lead_heading_rad=lead_heading,
            lead_speed_mps=self._lead.speed_mps if present else 0.0,
            driver_in_control=driver_in_control,
        )

    def _lead_pose(self) -> tuple[float, float, float]:
        """(x, y, heading) of the lead's rear bumper in our vehicle frame."""
        there, motion = point_at(self._road, self._lead.rear_s_m), self._motion
        dx, dy = there.x_m - motion.x_m, there.y_m - motion.y_m
        cosine, sine = math.cos(motion.heading_rad), math.sin(motion.heading_rad)
        turned = _wrapped(there.heading_rad - motion.heading_rad)
        return dx * cosine + dy * sine, dy * cosine - dx * sine, turned

    def _middle_offset_m(self, heading_error_rad: float, curvature: float) -> float:
        """Offset of the middle of the vehicle, which is ahead of the rear axle that we have projected."""
        ahead_m = (FRONT_BUMPER_M - REAR_OVERHANG_M) / 2.0
        return self._offset_m + ahead_m * math.sin(heading_error_rad) - curvature * ahead_m**2 / 2.0


def _wrapped(angle_rad: float) -> float:
    """The same angle within -pi..pi."""
    return math.remainder(angle_rad, 2.0 * math.pi)
