"""Bridge: the only node that may send to actuators. It feeds the guard and carries out what the guard decides."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec

from cardan.drivers.can.bus import open_channel
from cardan.drivers.can.channel import CanChannel
from cardan.firmware_bridge.dbc import Dbc
from cardan.firmware_bridge.engage import State
from cardan.firmware_bridge.envelope import MAX_AGE_PERIODS, Envelope
from cardan.firmware_bridge.gate import Actuator, Gate, OutFrame
from cardan.firmware_bridge.guard import Command, Decision, Guard, GuardSettings, Vehicle
from cardan.firmware_bridge.limits import read_envelope
from cardan.firmware_bridge.safe_stop import SEQUENCE, Phase, check_sequence
from cardan.firmware_bridge.vehicle_bus import VehicleBus
from cardan.firmware_bridge.vehicle_map import VehicleMap, open_map
from cardan.firmware_bridge.vehicle_state import only_channel
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.messages import ActuatorCommand, BridgeVerdict, CanFrame, CanFrames
from cardan.runtime.node import Input, Metric, Node, NodeConfig, Output

NEEDED = ("speed_mps", "brake_pressed", "cancel_requested", "engage_requested")
"""What the vehicle's bus must tell before a bridge may ever send."""
MEASURED = {"steering_angle": "steering_rad", "acceleration": "accel_mps2"}
"""Quantity of the envelope -> what measures it."""
RECEIVE_LIMIT = 512
"""Frames taken in one period: twice a full 1 Mbit/s bus, so a backlog is gone within a few periods."""

Seconds = Annotated[float, msgspec.Meta(gt=0, le=10)]


class ActuatorConfig(NodeConfig, frozen=True):
    """Which message carries a signal of the envelope."""

    message: str
    value: str
    """Signal of the message that carries the value."""
    enable: str = "ENABLE"
    """Signal of the message that is 1 while the actuator belongs to the bridge."""


class PhaseConfig(NodeConfig, frozen=True):
    """One part of the safe stop."""

    name: str
    accel_mps2: float
    lasts_s: float


REFERENCE_ACTUATORS = {
    "steering_rad": ActuatorConfig(message="STEERING_COMMAND", value="ROAD_WHEEL_ANGLE"),
    "accel_mps2": ActuatorConfig(message="ACCEL_COMMAND", value="ACCELERATION"),
}


class BridgeConfig(NodeConfig, frozen=True):
    """Settings of Bridge; the limits themselves are the manifest's `[envelope]`."""

    vehicle: str | VehicleMap = "reference"
    """Name of a known vehicle, or its map."""
    channel: str = ""
    """Channel of the profile that the vehicle's bus is on; empty = the only one."""
    listen_only: bool = False
    """Judge commands, but never arm and never send."""
    actuators: dict[str, ActuatorConfig] = msgspec.field(default_factory=lambda: dict(REFERENCE_ACTUATORS))
    """Signal of the envelope -> where it goes."""
    status: str = "BRIDGE_STATUS"
    """Message that tells the vehicle the state of the bridge; empty = none."""
    constants: dict[str, float] = msgspec.field(default_factory=dict)
    """MESSAGE.SIGNAL -> value of signals of actuator messages that never change."""
    max_age_s: dict[str, float] = msgspec.field(default_factory=dict)
    """Message -> seconds of silence after which it is not believed; three of its periods where nothing is said."""
    max_age_periods: Annotated[float, msgspec.Meta(gt=0, le=MAX_AGE_PERIODS)] = MAX_AGE_PERIODS
    """A command older than this many control periods is stale."""
    pre_enable_s: Seconds = 0.5
    soft_disable_s: Seconds = 1.0
    """So long control or the bus may be away before the safe stop begins."""
    safe_stop: list[PhaseConfig] = msgspec.field(default_factory=list)
    """Sequence of the safe stop; empty = the default one (see safe_stop.py)."""


class Bridge(Node):
    """Judge every command, engage and disengage, send what is allowed, and answer in the same period.

    The age of a command is judged by the guard, so the input has no age limit of its own. The bridge reads the bus of
    the vehicle itself: what it trusts does not come through another process.
    """

    config: BridgeConfig
    rate_hz = 100.0
    preload = ("cantools",)
    command = Input(ActuatorCommand)
    verdict = Output(BridgeVerdict)
    sent = Output(CanFrames)
    safe_stops = Metric("count")
    """1 for each safe stop that began."""
    soft_disables = Metric("count")
    """1 each time that control or the bus was away while engaged."""
    photon_to_can = Metric("s")
    """From the capture of a camera frame to the first CAN frames that follow from it, once for each camera frame."""
    limited = Metric("count")
    """1 for each command that was not followed as it was while engaged."""

    def open(self) -> None:
        config = self.config
        self._channel: CanChannel | None = None
        envelope = read_envelope(
            self.context.envelope,
            period_s=1.0 / (self.context.rate_hz or 100.0),
            max_age_periods=config.max_age_periods,
        )
        self._measured = {item.name: MEASURED.get(item.quantity, "") for item in envelope.signals}
        vehicle, dbc = open_map(config.vehicle, self.context.manifest_dir)
        channel = only_channel(self.context, config.channel)
        self._bus = VehicleBus(vehicle, dbc, channel=channel, max_age_s=config.max_age_s)
        gate = None if config.listen_only else self._open_gate(envelope, dbc)
        self._guard = Guard(envelope, gate, self._settings(), self.clock.now_ns())
        self._channel = open_channel(self.context.can_channels[channel], self.clock)
        self._send_failed = False
        self._changes = 0
        self._origin_ns = 0

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        self._receive()
        self._guard.stop_asked(self.context.stop_wanted())
        decision = self._guard.step(now_ns, self._command(), self._vehicle(now_ns))
        if self._send(decision.frames):
            self._measure_photon_to_can(decision)
        self._answer(decision)
        if self._guard.engagement.changes > self._changes:
            self._changes = self._guard.engagement.changes
            self._report_transition()
        if self._guard.engagement.active and not decision.accepted:
            self.limited.observe(1)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    # ------------------------------------------------------------------------------------------------------- opening

    def _open_gate(self, envelope: Envelope, dbc: Dbc) -> Gate:
        missing = self._bus.missing([*NEEDED, *(name for name in self._measured.values() if name)])
        if missing:
            hint = "the bridge never sends without them; set listen_only = true to look on"
            raise ConfigError(f"the vehicle map has no {', '.join(missing)}", hint=hint)
        lacking = [item.name for item in envelope.signals if item.name not in self.config.actuators]
        if lacking:
            raise ConfigError(f"no actuator for {lacking[0]}", hint=f"add config.actuators.{lacking[0]}")
        actuators = [self._actuator(item.name, dbc) for item in envelope.signals]
        status = dbc.message(self.config.status) if self.config.status else None
        return Gate(actuators, status=status, constants=self.config.constants)

    def _actuator(self, signal: str, dbc: Dbc) -> Actuator:
        wanted = self.config.actuators[signal]
        message = dbc.message(wanted.message)
        value, enable = message.signal(wanted.value).name, message.signal(wanted.enable).name
        return Actuator(signal=signal, message=message, value=value, enable=enable)

    def _settings(self) -> GuardSettings:
        phases = tuple(
            Phase(name=item.name, accel_mps2=item.accel_mps2, lasts_s=item.lasts_s) for item in self.config.safe_stop
        )
        wrong = check_sequence(phases or SEQUENCE)
        if wrong:
            raise ConfigError(f"config.safe_stop: {wrong}")
        return GuardSettings(
            listen_only=self.config.listen_only,
            pre_enable_s=self.config.pre_enable_s,
            soft_disable_s=self.config.soft_disable_s,
            safe_stop=phases or SEQUENCE,
        )

    # ------------------------------------------------------------------------------------------------------ one period

    def _receive(self) -> None:
        for frame in self._open_channel().receive_batch(RECEIVE_LIMIT):
            if not frame.error and self._guard.owns(frame.id, frame.extended):
                self._guard.foreign_frame(frame.id)
            else:
                self._bus.receive(frame)

    def _command(self) -> Command | None:
        message = self.command.value_or_none
        if message is None:
            return None
        values = {name: getattr(message, name, None) for name in self._measured}
        return Command(message.cycle, values, message.envelope_hash, self.command.sent_ns, self.command.valid)

    def _vehicle(self, now_ns: int) -> Vehicle:
        bus = self._bus
        return Vehicle(
            problems=tuple(bus.problems(now_ns)),
            speed_mps=bus.number("speed_mps"),
            measured={name: bus.number(source) if source else math.nan for name, source in self._measured.items()},
            brake=bus.switch("brake_pressed"),
            cancel=bus.switch("cancel_requested"),
            gas=bus.switch("gas_pressed"),
            steering=bus.switch("steering_override"),
            engage=bus.switch("engage_requested"),
        )

    def _send(self, frames: list[OutFrame]) -> bool:
        if not frames:
            return False
        channel = self._open_channel()
        try:
            carried = [
                CanFrame(
                    channel.name,
                    frame.id,
                    frame.data,
                    channel.send(frame.id, frame.data, extended=frame.extended, fd=frame.fd),
                    frame.extended,
                    frame.fd,
                )
                for frame in frames
            ]
        except DeviceError as error:
            self._guard.send_result(False)
            if not self._send_failed:
                self.report_fault("can-send", error.message)
            self._send_failed = True
            return False
        self._guard.send_result(True)
        self._send_failed = False
        self.sent.send(CanFrames(frames=carried), valid=True)
        return True

    def _measure_photon_to_can(self, decision: Decision) -> None:
        origin_ns = self.command.origin_ns
        if decision.accepted and self.command.valid and origin_ns > self._origin_ns:
            self._origin_ns = origin_ns
            self.photon_to_can.observe((self.clock.now_ns() - origin_ns) / 1e9)

    def _answer(self, decision: Decision) -> None:
        engagement, message = self._guard.engagement, self.command.value_or_none
        self.verdict.send(
            BridgeVerdict(
                cycle=message.cycle if message is not None else -1,
                engagement=engagement.state.value,
                armed=engagement.active,
                accepted=decision.accepted,
                reason=decision.reason,
                cause=engagement.cause,
                steering_rad=decision.values.get("steering_rad", 0.0),
                accel_mps2=decision.values.get("accel_mps2", 0.0),
            ),
            valid=True,
        )

    def _report_transition(self) -> None:
        newest = self._guard.engagement.history[-1]
        self.log.info("%s -> %s: %s", newest.before.value, newest.after.value, newest.cause)
        if newest.after is State.SOFT_DISABLING:
            self.soft_disables.observe(1)
        if newest.after is State.SAFE_STOP:
            self.safe_stops.observe(1)
        if newest.after in (State.SAFE_STOP, State.FAULT_LATCHED):
            self.report_fault(newest.after.value, newest.cause)

    def _open_channel(self) -> CanChannel:
        if self._channel is None:
            raise DeviceError("the bridge has no open CAN channel")
        return self._channel
