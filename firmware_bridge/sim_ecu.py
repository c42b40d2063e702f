"""The control units of the simulated vehicle: what their frames say, and when they let go of an actuator.

They do what the real ones must do: believe a command only with a right CRC and counter, and let go of the actuator
at most 100 ms after the last good one.
"""

from __future__ import annotations

from dataclasses import dataclass

from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.dbc import Dbc
from cardan.firmware_bridge.trust import TrustedMessage
from cardan.runtime.messages import CanFrame, SimTruth

TIMEOUT_S = 0.09
"""An actuator is let go after so long without a good command; looked at every 10 ms, that is within 100 ms."""
TRACK_M = 1.5
"""Distance of the wheels of one axle."""
STEERING_RATIO = 16.0
"""Steering wheel angle for one angle of the front wheels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pedals:
    """What the driver does with hands and feet, and what is left of the actuators under them."""

    brake: float = 0.0
    """0 to 1."""
    gas: float = 0.0
    engage: bool = False
    cancel: bool = False
    steering: bool = False
    """The driver turns the wheel against the actuator."""
    steering_ready: bool = True
    """The steering actuator takes commands."""
    accel_ready: bool = True
    """Drive and brakes take commands."""


class ActuatorEcu:
    """One actuator: the newest believed command, and whether it still holds."""

    def __init__(self, codec: MessageCodec, value: str) -> None:
        self._message = TrustedMessage(codec, max_age_s=TIMEOUT_S)
        self._value = value

    def receive(self, frame: CanFrame) -> None:
        """Take one frame of the bus."""
        codec = self._message.codec
        if (frame.id, frame.extended) == (codec.frame_id, codec.extended) and not frame.error:
            self._message.receive(frame.data, frame.stamp_ns)

    def wish(self, now_ns: int) -> float | None:
        """What the bridge asks of the actuator now; None while the actuator belongs to the driver."""
        if self._message.problem(now_ns) or not self._message.values["ENABLE"]:
            return None
        return self._message.values[self._value]

    @property
    def rejected(self) -> int:
        """Frames with a wrong checksum or counter."""
        return self._message.checksum_failures + self._message.counter_failures


class SensorEcu:
    """Makes the frames that the vehicle sends in one period."""

    def __init__(self, dbc: Dbc) -> None:
        self._messages = [dbc.message(name) for name in ("DRIVER_INPUTS", "WHEEL_SPEEDS", "STEERING_ANGLE", "MOTION")]
        self._count = 0

    def frames(self, truth: SimTruth, pedals: Pedals) -> list[tuple[int, bytes]]:
        """(identifier, data) of each message."""
        contents = (_driver(pedals), _wheels(truth), _steering(truth, pedals), _motion(truth))
        frames = [
            (codec.frame_id, codec.encode(_carried(codec, content), self._count % codec.modulus))
            for codec, content in zip(self._messages, contents, strict=True)
        ]
        self._count += 1
        return frames


def _carried(codec: MessageCodec, content: dict[str, float]) -> dict[str, float]:
    """`content` as far as the message can carry it: a sensor saturates at the end of its range."""
    infinite = float("inf")
    return {"VALID": 1, **{name: codec.snap(name, value, -infinite, infinite) for name, value in content.items()}}


def _driver(pedals: Pedals) -> dict[str, float]:
    return {
        "BRAKE_PRESSED": pedals.brake > 0,
        "GAS_PRESSED": pedals.gas > 0,
        "ENGAGE_BUTTON": pedals.engage,
        "CANCEL_BUTTON": pedals.cancel,
        "STEERING_OVERRIDE": pedals.steering,
        "ACCEL_READY": pedals.accel_ready,
        "BRAKE_PEDAL": 100 * pedals.brake,
        "GAS_PEDAL": 100 * pedals.gas,
        "STEERING_TORQUE": 3.0 if pedals.steering else 0.0,
    }


def _wheels(truth: SimTruth) -> dict[str, float]:
    difference = truth.yaw_rate_radps * TRACK_M / 2.0
    left, right = truth.speed_mps - difference, truth.speed_mps + difference
    return {"FRONT_LEFT": left, "FRONT_RIGHT": right, "REAR_LEFT": left, "REAR_RIGHT": right}


def _steering(truth: SimTruth, pedals: Pedals) -> dict[str, float]:
    return {
        "READY": pedals.steering_ready,
        "ROAD_WHEEL_ANGLE": truth.steering_rad,
        "STEERING_WHEEL_ANGLE": truth.steering_rad * STEERING_RATIO,
    }


def _motion(truth: SimTruth) -> dict[str, float]:
    return {"SPEED": truth.speed_mps, "YAW_RATE": truth.yaw_rate_radps, "ACCELERATION": truth.accel_mps2}
