"""Records of a segment turned into signals: one series of samples for each field of each topic, with a name.

A field has the name `topic.field`, or that of the Vehicle Signal Specification (COVESA VSS 5) where a table knows one.
Nothing is lost: what has no fields is kept as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import pi
from typing import Annotated, Any

import msgspec

from cardan.runtime.outbox.segment import Record

Int64 = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
BIGGEST_INT = 1 << 63
LONGEST_LIST = 64
"""Items of a longer list are no signals of their own: it is kept as text."""


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a field is called at the store, and how its value is turned into the unit of that name."""

    name: str
    factor: float = 1.0
    offset: float = 0.0


SignalNames = Mapping[str, Signal]
"""By `topic.field` or `type.field`, where a type goes without its module; the topic counts more."""

KMH = 3.6
DEG = 180 / pi
VSS: dict[str, Signal] = {
    "VehicleState.speed_mps": Signal("Vehicle.Speed", KMH),
    "VehicleState.wheel_speed_mps.0": Signal("Vehicle.Chassis.Axle.Row1.Wheel.Left.Speed", KMH),
    "VehicleState.wheel_speed_mps.1": Signal("Vehicle.Chassis.Axle.Row1.Wheel.Right.Speed", KMH),
    "VehicleState.wheel_speed_mps.2": Signal("Vehicle.Chassis.Axle.Row2.Wheel.Left.Speed", KMH),
    "VehicleState.wheel_speed_mps.3": Signal("Vehicle.Chassis.Axle.Row2.Wheel.Right.Speed", KMH),
    "VehicleState.steering_rad": Signal("Vehicle.Chassis.Axle.Row1.SteeringAngle", DEG),
    "VehicleState.steering_wheel_rad": Signal("Vehicle.Chassis.SteeringWheel.Angle", DEG),
    "VehicleState.yaw_rate_radps": Signal("Vehicle.AngularVelocity.Yaw", DEG),
    "VehicleState.accel_mps2": Signal("Vehicle.Acceleration.Longitudinal"),
    "VehicleState.brake_pressed": Signal("Vehicle.Chassis.Brake.IsDriverBraking"),
    "VehicleState.gas_pressed": Signal("Vehicle.Chassis.Accelerator.IsDriverAccelerating"),
}
"""Of our own message types. Units of VSS: km/h, degrees, m/s^2. The two last are overlays: VSS has pedal positions."""


@dataclass(frozen=True)
class Series:
    """The samples of one signal, in the order of their records."""

    name: str
    topic: str
    rows: list[int] = field(default_factory=list)
    """Which records, counted from 0."""
    values: list[Any] = field(default_factory=list)
    """None, or a bool, int, float or text."""


@dataclass(frozen=True)
class Table:
    """All signals of a segment."""

    records: list[Record]
    series: list[Series]
    heads: list[Head]
    """Of each record."""


class Head(msgspec.Struct, frozen=True):
    """What a record says beside its message."""

    topic: str = ""
    type: str = ""
    topic_seq: Int64 | None = None
    epoch: Int64 | None = None
    origin_ns: Int64 | None = None
    valid: bool | None = None
    purpose: str = ""


class _Payload(Head, frozen=True, forbid_unknown_fields=True):
    """The payload that the outbox writes; another one is kept as text."""

    message: dict[str, Any] = {}


_DECODER = msgspec.json.Decoder(_Payload)


def table_of(records: list[Record], names: SignalNames) -> Table:
    """The signals of `records`, sorted by topic and field as they came up first."""
    found: dict[tuple[str, str], Series] = {}
    heads: list[Head] = []
    named: dict[tuple[str, str, str], Signal] = {}
    for row, record in enumerate(records):
        payload = _payload_or_none(record.payload)
        heads.append(payload or Head())
        topic, type_name = (payload.topic, payload.type.rpartition(":")[2]) if payload is not None else ("", "")
        for path, value in _fields(payload, record.payload):
            key = (topic, type_name, path)
            signal = named.get(key) or named.setdefault(key, _signal_of(names, *key))
            series = found.get((topic, signal.name)) or found.setdefault(
                (topic, signal.name), Series(signal.name, topic)
            )
            series.rows.append(row)
            series.values.append(_converted(value, signal))
    return Table(records, list(found.values()), heads)


def _payload_or_none(payload: bytes) -> _Payload | None:
    try:
        return _DECODER.decode(payload)
    except msgspec.MsgspecError:
        return None


def _fields(payload: _Payload | None, raw: bytes) -> Iterator[tuple[str, Any]]:
    """Every field with its path; at least one for each record."""
    if payload is None:
        yield "", raw.decode(errors="replace")
    elif not payload.message:
        yield "", None
    else:
        yield from _leaves("", payload.message)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list) and 0 < len(value) <= LONGEST_LIST:
        for number, item in enumerate(value):
            yield from _leaves(f"{path}.{number}", item)
    elif isinstance(value, (dict, list)):
        yield path, msgspec.json.encode(value).decode()
    else:
        yield path, value


def _signal_of(names: SignalNames, topic: str, type_name: str, path: str) -> Signal:
    own = names.get(f"{topic}.{path}") or names.get(f"{type_name}.{path}")
    return own or Signal(f"{topic}.{path}" if path else topic)


def _converted(value: Any, signal: Signal) -> Any:
    """The value in the unit of its name; an integer that 64 bits do not hold becomes text."""
    if type(value) is int and not -BIGGEST_INT <= value < BIGGEST_INT:
        return str(value)
    if signal.factor == 1.0 and signal.offset == 0.0:
        return value
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value * signal.factor + signal.offset if is_number else value
