"""SimVehicle: the vehicle end of the CAN bus in simulation: control units, driver, and the world they move through."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.channel import CanChannel
from cardan.drivers.sim.driver import DriverConfig, drive
from cardan.drivers.sim.world import World, WorldConfig
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.sim_driver import EngageHabit
from cardan.firmware_bridge.sim_ecu import ActuatorEcu, SensorEcu
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.firmware_bridge.vehicle_state import only_channel
from cardan.runtime.errors import DeviceError
from cardan.runtime.messages import SimTruth
from cardan.runtime.node import Metric, Node, NodeConfig, Output

RECEIVE_LIMIT = 512
LONGEST_STEP_S = 0.1
"""When this process was held up for longer, the world stands still for the rest: physics has no time to lose."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class SimVehicleConfig(NodeConfig, frozen=True):
    """Settings of SimVehicle."""

    channel: str = ""
    """Channel of the profile; empty = the only one."""
    world: WorldConfig = WorldConfig()
    driver: DriverConfig = DriverConfig()
    engages: bool = True
    """The driver engages the automation."""
    engage_after_s: Seconds = 0.3
    """From the first step to the first press of the engage button."""
    engage_again_s: Seconds = 2.0
    """From a disengagement to the next press."""
    retry_s: Seconds = 0.5
    """From a press that had no effect (feet are off for 0.7 s) to the next one."""


class SimVehicle(Node):
    """Move the world on in real time by what the bridge asks, or by the driver while it asks nothing.

    Each actuator belongs to the bridge only while good frames with ENABLE come; within 100 ms of the last one the
    simulated driver has it. Frames of the sensors are sent in every step.
    """

    config: SimVehicleConfig
    rate_hz = 100.0
    preload = ("vehiclemodels.vehicle_dynamics_st",)
    truth = Output(SimTruth)
    lane_error = Metric("m")
    """Distance of the vehicle's middle from the lane centre."""
    lead_gap = Metric("m")
    """From our front bumper to the lead, while there is one."""
    lead_touches = Metric("count")
    """1 each time that the gap became 0."""
    frames_rejected = Metric("count")
    """Actuator frames with a wrong checksum or counter, in each step that had some."""
    frames_unsent = Metric("count")
    """Sensor frames that the bus did not take, in each step that had some."""

    def open(self) -> None:
        self._channel: CanChannel | None = None
        config = self.config
        dbc = load_dbc(reference_dbc_path())
        self._steering = ActuatorEcu(dbc.message("STEERING_COMMAND"), "ROAD_WHEEL_ANGLE")
        self._accel = ActuatorEcu(dbc.message("ACCEL_COMMAND"), "ACCELERATION")
        self._sensors = SensorEcu(dbc)
        self._world = World(config.world)
        self._truth = self._world.truth(driver_in_control=True)
        channel = only_channel(self.context, config.channel)
        self._channel = open_channel(self.context.can_channels[channel], self.clock)
        self._last_ns = self.clock.now_ns()
        self._rejected = 0
        self._touching = False
        self._habit = EngageHabit(
            first_s=config.engage_after_s if config.engages else 1e9,
            again_s=config.engage_again_s,
            retry_s=config.retry_s,
        )

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        self._receive()
        own_steering, own_accel = drive(self.config.driver, self._truth)
        steering, accel = self._steering.wish(now_ns), self._accel.wish(now_ns)
        engaged = steering is not None and accel is not None
        pedals = self._habit.pedals(now_ns, engaged=engaged, wish_mps2=own_accel)
        elapsed_s, self._last_ns = (now_ns - self._last_ns) / 1e9, now_ns
        self._world.step(
            min(max(elapsed_s, 1e-4), LONGEST_STEP_S),
            own_steering if steering is None else steering,
            own_accel if accel is None else accel,
        )
        self._truth = truth = self._world.truth(driver_in_control=not engaged)
        self._send(self._sensors.frames(truth, pedals))
        self.truth.send(truth)
        self._score(truth)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _receive(self) -> None:
        for frame in self._open_channel().receive_batch(RECEIVE_LIMIT):
            self._steering.receive(frame)
            self._accel.receive(frame)

    def _send(self, frames: list[tuple[int, bytes]]) -> None:
        unsent = 0
        for frame_id, data in frames:
            try:
                self._open_channel().send(frame_id, data)
            except DeviceError as error:
                unsent += 1
                self.log.debug("frame 0x%X not sent: %s", frame_id, error.message)
        if unsent:
            self.frames_unsent.observe(unsent)

    def _score(self, truth: SimTruth) -> None:
        self.lane_error.observe(truth.lane_offset_m)
        if truth.lead_present:
            self.lead_gap.observe(max(0.0, truth.lead_gap_m))
        touches = truth.lead_present and truth.lead_gap_m <= 0.0
        if touches and not self._touching:
            self.lead_touches.observe(1)
        self._touching = touches
        rejected = self._steering.rejected + self._accel.rejected
        if rejected > self._rejected:
            self.frames_rejected.observe(rejected - self._rejected)
            self._rejected = rejected

    def _open_channel(self) -> CanChannel:
        if self._channel is None:
            raise DeviceError("the simulated vehicle has no open CAN channel")
        return self._channel
