"""VehicleStateDecoder: frames of the vehicle's bus in, its state in SI units out; checksums and counters verified."""

from __future__ import annotations

import msgspec

from cardan.firmware_bridge.vehicle_bus import VehicleBus
from cardan.firmware_bridge.vehicle_map import VehicleMap, open_map
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CanFrames, VehicleState
from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output
from cardan.runtime.node.node import NodeContext

NEEDED = (
    "speed_mps",
    "wheel_front_left_mps",
    "wheel_front_right_mps",
    "wheel_rear_left_mps",
    "wheel_rear_right_mps",
    "steering_rad",
    "steering_wheel_rad",
    "yaw_rate_radps",
    "accel_mps2",
)
"""Quantities without which there is no vehicle state."""


class VehicleStateConfig(NodeConfig, frozen=True):
    """Settings of VehicleStateDecoder."""

    vehicle: str | VehicleMap = "reference"
    """Name of a known vehicle, or its map."""
    channel: str = ""
    """Channel of the profile that the vehicle's bus is on; empty = the only one."""
    max_age_s: dict[str, float] = msgspec.field(default_factory=dict)
    """Message -> seconds of silence after which the state is invalid; three of its periods where nothing is said."""


class VehicleStateDecoder(Node):
    """Publish the vehicle's state after each batch of frames, once every quantity has been seen.

    A frame whose checksum or counter is wrong changes nothing. The state is invalid while a message that it is made
    from is silent, wrong too often, or called invalid by its sender.
    """

    config: VehicleStateConfig
    rate_hz = 20.0
    stepped_by = "frames"
    frames = Input(CanFrames, queue=256)
    vehicle = Output(VehicleState)
    checksum_failures = Metric("count")
    """Frames with a wrong checksum or length, in each step that had some."""
    counter_failures = Metric("count")
    """Frames whose counter was repeated or wrong, in each step that had some."""

    def open(self) -> None:
        vehicle, dbc = open_map(self.config.vehicle, self.context.manifest_dir)
        channel = only_channel(self.context, self.config.channel)
        self._bus = VehicleBus(vehicle, dbc, channel=channel, max_age_s=self.config.max_age_s)
        missing = self._bus.missing(NEEDED)
        if missing:
            raise ConfigError(f"the vehicle map has no {', '.join(missing)}", hint="the vehicle state needs them all")
        self._counted = (0, 0, 0)

    def step(self) -> None:
        believed = False
        for sample in self.frames.take():
            for frame in sample.value.frames:
                believed = self._bus.receive(frame) or believed
        self._count_failures()
        if believed and self._bus.complete():
            self.vehicle.send(self._state(), valid=not self._bus.problems(self.clock.now_ns()))

    def _count_failures(self) -> None:
        totals = self._bus.totals()
        for meter, new, old in zip(
            (self.checksum_failures, self.counter_failures), totals[1:], self._counted[1:], strict=True
        ):
            if new > old:
                meter.observe(new - old)
        self._counted = totals

    def _state(self) -> VehicleState:
        number, switch = self._bus.number, self._bus.switch
        decoded, checksum_failures, counter_failures = self._counted
        return VehicleState(
            stamp_ns=self._bus.newest_ns,
            speed_mps=number("speed_mps"),
            wheel_speed_mps=(
                number("wheel_front_left_mps"),
                number("wheel_front_right_mps"),
                number("wheel_rear_left_mps"),
                number("wheel_rear_right_mps"),
            ),
            steering_rad=number("steering_rad"),
            steering_wheel_rad=number("steering_wheel_rad"),
            yaw_rate_radps=number("yaw_rate_radps"),
            accel_mps2=number("accel_mps2"),
            brake_pressed=switch("brake_pressed"),
            gas_pressed=switch("gas_pressed"),
            engage_requested=switch("engage_requested"),
            cancel_requested=switch("cancel_requested"),
            frames_decoded=decoded,
            checksum_failures=checksum_failures,
            counter_failures=counter_failures,
        )


def only_channel(context: NodeContext, name: str) -> str:
    """The channel called `name`, or the profile's only one; ConfigError when that is not clear."""
    known = list(context.can_channels)
    if name in known:
        return name
    if not name and len(known) == 1:
        return known[0]
    said = f'no CAN channel "{name}" in the profile' if name else f"the profile has {len(known)} CAN channels"
    raise ConfigError(said, hint=f"set config.channel of {context.name} to one of: {', '.join(known) or 'none'}")
