"""How the simulated vehicle moves: the published single-track model with the lag and limits of its actuators.

The equations and the parameters (vehicle 2, a BMW 320i) are those of M. Althoff and G. Wuersching, "CommonRoad:
Vehicle Models", 2020, from the package commonroad-vehicle-models. Positions are of the rear axle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from cardan.runtime.errors import DeviceError

KINEMATIC_BELOW_MPS = 2.0
"""Below this speed the tyre equations are too stiff for our step; the kinematic single-track model takes over."""
STEP_S = 0.005
"""Longest integration step: the stiffest mode at 2 m/s decays within 8 ms, well inside what RK4 can follow."""
REAR_OVERHANG_M = 1.08
"""Rear axle to rear bumper of a BMW 320i; the parameter set has only the whole length."""

Derivative = Callable[[list[float], list[float]], list[float]]


class ActuatorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How steering and drive follow their targets: a first-order lag, then a limit."""

    steering_lag_s: float = 0.08
    """Time constant of the steering."""
    steering_rate_radps: float = 0.4
    """Of the front wheels; the steering limit of the parameter set."""
    steering_max_rad: float = 0.6
    """Of the front wheels."""
    accel_lag_s: float = 0.25
    """Time constant of drive and brake."""
    jerk_mps3: float = 15.0
    """Fastest change of the acceleration."""
    accel_max_mps2: float = 3.0
    """Most that the drive gives."""
    accel_min_mps2: float = -9.0
    """Least that the brake gives."""


@dataclass(frozen=True, kw_only=True)
class VehicleMotion:
    """State of the vehicle, world frame, of the middle of the rear axle."""

    x_m: float = 0.0
    y_m: float = 0.0
    heading_rad: float = 0.0
    speed_mps: float = 0.0
    yaw_rate_radps: float = 0.0
    slip_rad: float = 0.0
    """Angle between the body and the velocity of its centre of mass."""
    steering_rad: float = 0.0
    accel_mps2: float = 0.0


class VehicleModel:
    """The equations of one vehicle, ready to be stepped. Needs the extra `sim`."""

    def __init__(self, actuators: ActuatorConfig) -> None:
        self.actuators = actuators
        parameters, self._dynamic, self._kinematic = load_single_track()
        self.wheelbase_m = float(parameters.a + parameters.b)
        self.front_bumper_m = float(parameters.l) - REAR_OVERHANG_M
        self._mass_centre_m = float(parameters.b)

    def step(self, motion: VehicleMotion, dt_s: float, steering_rad: float, accel_mps2: float) -> VehicleMotion:
        """`motion` after `dt_s` with constant targets; the vehicle stops but never reverses."""
        steps = max(1, math.ceil(dt_s / STEP_S - 1e-9))
        for _ in range(steps):
            motion = self._short_step(motion, dt_s / steps, steering_rad, accel_mps2)
        return motion

    def _short_step(self, motion: VehicleMotion, dt_s: float, steering_rad: float, accel_mps2: float) -> VehicleMotion:
        steering_rate = self._steering_rate(motion.steering_rad, steering_rad, dt_s)
        accel = self._lagged_accel(motion.accel_mps2, accel_mps2, dt_s)
        if motion.speed_mps <= 0.0 and accel <= 0.0:
            steering = motion.steering_rad + steering_rate * dt_s
            return replace(
                motion, speed_mps=0.0, yaw_rate_radps=0.0, slip_rad=0.0, accel_mps2=accel, steering_rad=steering
            )
        slow = motion.speed_mps < KINEMATIC_BELOW_MPS
        rates = self._kinematic if slow else self._dynamic
        state = runge_kutta(rates, self._to_vector(motion, slow), [steering_rate, accel], dt_s)
        moved = self._from_vector(state, accel)
        return self._without_tyre_slip(moved) if slow else moved

    def _steering_rate(self, angle: float, target: float, dt_s: float) -> float:
        limits = self.actuators
        target = min(limits.steering_max_rad, max(-limits.steering_max_rad, target))
        rate = (target - angle) * (1.0 - math.exp(-dt_s / limits.steering_lag_s)) / dt_s
        return min(limits.steering_rate_radps, max(-limits.steering_rate_radps, rate))

    def _lagged_accel(self, accel: float, target: float, dt_s: float) -> float:
        limits = self.actuators
        target = min(limits.accel_max_mps2, max(limits.accel_min_mps2, target))
        change = (target - accel) * (1.0 - math.exp(-dt_s / limits.accel_lag_s))
        return accel + min(limits.jerk_mps3 * dt_s, max(-limits.jerk_mps3 * dt_s, change))

    def _to_vector(self, motion: VehicleMotion, slow: bool) -> list[float]:
        """The state vector of the published equations: their reference point is the centre of mass."""
        x_m = motion.x_m + self._mass_centre_m * math.cos(motion.heading_rad)
        y_m = motion.y_m + self._mass_centre_m * math.sin(motion.heading_rad)
        vector = [x_m, y_m, motion.steering_rad, motion.speed_mps, motion.heading_rad]
        return vector if slow else [*vector, motion.yaw_rate_radps, motion.slip_rad]

    def _from_vector(self, state: list[float], accel_mps2: float) -> VehicleMotion:
        return VehicleMotion(
            x_m=state[0] - self._mass_centre_m * math.cos(state[4]),
            y_m=state[1] - self._mass_centre_m * math.sin(state[4]),
            heading_rad=state[4],
            speed_mps=max(0.0, state[3]),
            yaw_rate_radps=state[5] if len(state) > 5 else 0.0,
            slip_rad=state[6] if len(state) > 5 else 0.0,
            steering_rad=state[2],
            accel_mps2=accel_mps2,
        )

    def _without_tyre_slip(self, motion: VehicleMotion) -> VehicleMotion:
        """Yaw rate and slip as geometry gives them, so that the tyre equations can take over at any time."""
        tangent = math.tan(motion.steering_rad)
        slip = math.atan(tangent * self._mass_centre_m / self.wheelbase_m)
        yaw_rate = motion.speed_mps * math.cos(slip) * tangent / self.wheelbase_m
        return replace(motion, yaw_rate_radps=yaw_rate, slip_rad=slip)


def runge_kutta(rates: Derivative, state: list[float], inputs: list[float], dt_s: float) -> list[float]:
    """One step of the classic fourth-order method."""
    first = rates(state, inputs)
    second = rates([x + dt_s / 2.0 * d for x, d in zip(state, first, strict=True)], inputs)
    third = rates([x + dt_s / 2.0 * d for x, d in zip(state, second, strict=True)], inputs)
    fourth = rates([x + dt_s * d for x, d in zip(state, third, strict=True)], inputs)
    slopes = zip(state, first, second, third, fourth, strict=True)
    return [x + dt_s / 6.0 * (a + 2.0 * b + 2.0 * c + d) for x, a, b, c, d in slopes]


def load_single_track() -> tuple[Any, Derivative, Derivative]:
    """(parameters of vehicle 2, dynamic single-track equations, kinematic ones about the centre of mass)."""
    try:
        from vehiclemodels.parameters_vehicle2 import parameters_vehicle2
        from vehiclemodels.utils.vehicle_dynamics_ks_cog import vehicle_dynamics_ks_cog
        from vehiclemodels.vehicle_dynamics_st import vehicle_dynamics_st
    except ImportError as error:
        raise DeviceError(
            f"the simulated vehicle needs the package commonroad-vehicle-models ({error})",
            hint="pip install 'cardan[sim]'",
        ) from error
    parameters = parameters_vehicle2()

    def dynamic(state: list[float], inputs: list[float]) -> list[float]:
        return list(vehicle_dynamics_st(state, inputs, parameters))

    def kinematic(state: list[float], inputs: list[float]) -> list[float]:
        return list(vehicle_dynamics_ks_cog(state, inputs, parameters))

    return parameters, dynamic, kinematic
