"""What a manifest may say about the bridge, and the parts that are made of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cardan.firmware_bridge.dbc import Dbc
from cardan.firmware_bridge.envelope import MAX_AGE_PERIODS, Envelope
from cardan.firmware_bridge.gate import Actuator, Gate
from cardan.firmware_bridge.guard import GuardSettings
from cardan.firmware_bridge.safe_stop import SEQUENCES, Phase, StopSequence, check_sequences
from cardan.firmware_bridge.vehicle_map import VehicleMap
from cardan.runtime.errors import ConfigError
from cardan.runtime.node import NodeConfig

Seconds = Annotated[float, msgspec.Meta(gt=0, le=10)]


class ActuatorConfig(NodeConfig, frozen=True):
    """Which message carries a signal of the envelope."""

    message: str
    """Of the DBC."""
    value: str
    """Signal of the message that carries the value."""
    enable: str = "ENABLE"
    """Signal of the message that is 1 while the actuator belongs to the bridge."""


class PhaseConfig(NodeConfig, frozen=True):
    """One part of a safe stop."""

    name: str
    """For the log."""
    lasts_s: float
    """How long it lasts; the last one of a sequence that slows down: until standstill, and then this long."""
    accel_mps2: float = 0.0
    """Asked acceleration; negative slows down."""


class SafeStopConfig(NodeConfig, frozen=True):
    """One sequence of the safe stop."""

    name: str
    """For the log."""
    uses: list[Literal["steering_angle", "acceleration"]]
    """The actuators that it needs; what is not named is released."""
    phases: list[PhaseConfig] = msgspec.field(default_factory=list)
    """One after the other."""


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
    """Longest time that the arming checks may take."""
    soft_disable_s: Seconds = 1.0
    """So long control or the bus may be away before the safe stop begins."""
    safe_stop: list[SafeStopConfig] = msgspec.field(default_factory=list)
    """Sequences from the best to the last: the first one whose actuators all answer is taken. Empty = the default ones
    (see safe_stop.py)."""


def guard_settings(config: BridgeConfig) -> GuardSettings:
    """How the guard behaves; ConfigError for a safe stop that does not stop."""
    sequences = tuple(
        StopSequence(
            name=item.name,
            uses=tuple(item.uses),
            phases=tuple(
                Phase(name=phase.name, accel_mps2=phase.accel_mps2, lasts_s=phase.lasts_s) for phase in item.phases
            ),
        )
        for item in config.safe_stop
    )
    wrong = check_sequences(sequences)
    if wrong:
        raise ConfigError(f"config.safe_stop: {wrong}")
    return GuardSettings(
        listen_only=config.listen_only,
        pre_enable_s=config.pre_enable_s,
        soft_disable_s=config.soft_disable_s,
        safe_stop=sequences or SEQUENCES,
    )


def open_gate(config: BridgeConfig, envelope: Envelope, dbc: Dbc) -> Gate:
    """The gate of the configured actuators; ConfigError for a signal without one, and for incomplete messages."""
    lacking = [item.name for item in envelope.signals if item.name not in config.actuators]
    if lacking:
        raise ConfigError(f"no actuator for {lacking[0]}", hint=f"add config.actuators.{lacking[0]}")
    actuators = [_actuator(item.name, config.actuators[item.name], dbc) for item in envelope.signals]
    status = dbc.message(config.status) if config.status else None
    return Gate(actuators, status=status, constants=config.constants)


def _actuator(signal: str, wanted: ActuatorConfig, dbc: Dbc) -> Actuator:
    message = dbc.message(wanted.message)
    value, enable = message.signal(wanted.value).name, message.signal(wanted.enable).name
    return Actuator(signal=signal, message=message, value=value, enable=enable)
