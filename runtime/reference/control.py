"""Lane keeping and adaptive cruise of the reference vehicle: one real-time node at 100 Hz."""

from __future__ import annotations

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.messages import ActuatorCommand, BridgeVerdict, RoadView, VehicleState
from cardan.runtime.node import Input, Node, NodeConfig, Output
from cardan.runtime.reference.lateral import (
    LateralConfig,
    advance_path,
    lane_centre_m,
    limit_change,
    pursue,
    steering_rate_radps,
)
from cardan.runtime.reference.longitudinal import LeadTracker, LongitudinalConfig, cruise_accel

SEEN = 0.5
"""Probability from which a lane or a lead counts as seen."""


class LaneCruiseConfig(NodeConfig, frozen=True):
    """Settings of the controller."""

    lateral: LateralConfig = LateralConfig()
    """Lane keeping."""
    longitudinal: LongitudinalConfig = LongitudinalConfig()
    """Adaptive cruise."""
    fallback_accel_mps2: float = -0.5
    """Asked for, and marked invalid, while an input is missing or stale."""


class LaneCruise(Node):
    """Keep the lane and hold a time gap to the lead ahead.

    A command made without fresh, valid inputs holds the steering, slows down, and says that it is not valid, so that
    the bridge does not act on it. After a refused command it goes on from what really went to the bus.
    """

    config: LaneCruiseConfig
    rate_hz = 100.0
    road = Input(RoadView, max_age_s=0.2, optional=True)
    state = Input(VehicleState, max_age_s=0.05)
    verdict = Input(BridgeVerdict, max_age_s=0.05, optional=True)
    command = Output(ActuatorCommand)

    def open(self) -> None:
        self._cycle = 0
        self._steering_rad = 0.0
        self._accel_mps2 = 0.0
        self._integral_rad = 0.0
        self._tracker = LeadTracker(self.config.longitudinal)
        self._period_s = 1.0 / (self.context.rate_hz or 100.0)

    def step(self) -> None:
        self._follow_the_bus()
        if self.road.new:
            self._track_lead()
        usable = self.state.valid and self.road.valid and self._lane_seen()
        if usable:
            steering, accel = self._steer(), self._accelerate()
        else:
            steering, accel = self._steering_rad, self.config.fallback_accel_mps2
        self._send(steering, accel, valid=usable)

    def _follow_the_bus(self) -> None:
        """Ramp from the value that really went to the bus when the bridge changed or refused ours."""
        if self.verdict.fresh and not self.verdict.value.accepted:
            self._steering_rad = self.verdict.value.steering_rad
            self._accel_mps2 = self.verdict.value.accel_mps2
            self._integral_rad = 0.0

    def _track_lead(self) -> None:
        view = self.road.value
        usable = self.road.valid and view.lead_probability >= SEEN
        self._tracker.measure(self.road.origin_ns, view.lead_gap_m if usable else None)

    def _lane_seen(self) -> bool:
        view = self.road.value
        return bool(view.x_m) and view.lane_probability >= SEEN

    def _steer(self) -> float:
        config, state, view = self.config.lateral, self.state.value, self.road.value
        age_s = (self.clock.now_ns() - self.road.origin_ns) / NS_PER_S
        centre = lane_centre_m(view.left_y_m, view.right_y_m)
        x_m, y_m = advance_path(view.x_m, centre, state.speed_mps, state.yaw_rate_radps, age_s)
        step = config.integral_gain * y_m[0] * self._period_s
        limit = config.integral_limit_rad
        self._integral_rad = min(limit, max(-limit, self._integral_rad + step))
        return pursue(config, x_m, y_m, state.speed_mps) + self._integral_rad

    def _accelerate(self) -> float:
        gap_m = self._tracker.gap_now_m(self.clock.now_ns())
        return cruise_accel(self.config.longitudinal, self.state.value.speed_mps, gap_m, self._tracker.rate_mps)

    def _send(self, steering: float, accel: float, *, valid: bool) -> None:
        speed_mps = self.state.value.speed_mps if self.state.fresh else 0.0
        steering_change = steering_rate_radps(self.config.lateral, speed_mps) * self._period_s
        accel_change = self.config.longitudinal.jerk_mps3 * self._period_s
        self._steering_rad = limit_change(self._steering_rad, steering, steering_change)
        self._accel_mps2 = limit_change(self._accel_mps2, accel, accel_change)
        command = ActuatorCommand(
            cycle=self._cycle,
            steering_rad=self._steering_rad,
            accel_mps2=self._accel_mps2,
            envelope_hash=self.context.envelope_hash,
        )
        self._cycle += 1
        self.command.send(command, valid=valid, origin_ns=self.road.origin_ns or None)
