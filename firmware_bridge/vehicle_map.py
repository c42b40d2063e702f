"""Which signals of a vehicle's bus mean what: one table a vehicle, read by every node that listens to that bus."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from cardan.firmware_bridge.dbc import Dbc, load_dbc
from cardan.runtime import reference
from cardan.runtime.data import find_data
from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.node import NodeConfig

NUMBERS = (
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
"""What a vehicle reports as numbers."""
SWITCHES = (
    "brake_pressed",
    "gas_pressed",
    "steering_override",
    "engage_requested",
    "cancel_requested",
    "steering_ready",
    "accel_ready",
)
"""What a vehicle reports as yes or no; the last two: the actuator takes commands."""


class Term(NodeConfig, frozen=True):
    """One signal's share in a quantity: value x scale + offset."""

    signal: str
    """MESSAGE.SIGNAL."""
    scale: float = 1.0
    """Factor."""
    offset: float = 0.0
    """Added behind the factor."""


class VehicleMap(NodeConfig, frozen=True):
    """One vehicle's bus. A number is the sum of its terms; a switch is on when any of its terms is above 0.5."""

    dbc: str
    """Path of the DBC file, from the manifest or inside `data`; "reference" is the file of the reference vehicle."""
    data: str = ""
    """Name of the data set that holds the DBC file."""
    additive: list[str] | None = None
    """Not null: messages with a signal CHECKSUM carry Toyota's sum, and so do the messages named here."""
    periods_s: dict[str, float] = msgspec.field(default_factory=dict)
    """Period of messages whose DBC does not tell it."""
    signals: dict[str, list[Term]] = msgspec.field(default_factory=dict)
    """Quantity -> terms."""
    quality: list[Term] = msgspec.field(default_factory=list)
    """What tells whether a sender trusts its own message: it is used only while the term is above 0.5. A message that
    is not named here has its signal VALID as its flag, if there is one."""
    verify: list[str] = msgspec.field(default_factory=list)
    """Further messages whose checksum and counter are watched."""


REFERENCE = VehicleMap(
    dbc="reference",
    signals={
        "speed_mps": [Term(signal="MOTION.SPEED")],
        "wheel_front_left_mps": [Term(signal="WHEEL_SPEEDS.FRONT_LEFT")],
        "wheel_front_right_mps": [Term(signal="WHEEL_SPEEDS.FRONT_RIGHT")],
        "wheel_rear_left_mps": [Term(signal="WHEEL_SPEEDS.REAR_LEFT")],
        "wheel_rear_right_mps": [Term(signal="WHEEL_SPEEDS.REAR_RIGHT")],
        "steering_rad": [Term(signal="STEERING_ANGLE.ROAD_WHEEL_ANGLE")],
        "steering_wheel_rad": [Term(signal="STEERING_ANGLE.STEERING_WHEEL_ANGLE")],
        "yaw_rate_radps": [Term(signal="MOTION.YAW_RATE")],
        "accel_mps2": [Term(signal="MOTION.ACCELERATION")],
        "brake_pressed": [Term(signal="DRIVER_INPUTS.BRAKE_PRESSED")],
        "gas_pressed": [Term(signal="DRIVER_INPUTS.GAS_PRESSED")],
        "steering_override": [Term(signal="DRIVER_INPUTS.STEERING_OVERRIDE")],
        "engage_requested": [Term(signal="DRIVER_INPUTS.ENGAGE_BUTTON")],
        "cancel_requested": [Term(signal="DRIVER_INPUTS.CANCEL_BUTTON")],
        "steering_ready": [Term(signal="STEERING_ANGLE.READY")],
        "accel_ready": [Term(signal="DRIVER_INPUTS.ACCEL_READY")],
    },
)
"""The simulated vehicle."""

_KMH = 1 / 3.6
_DEGREE = math.pi / 180
_TOYOTA_STEERING_RATIO = 16.88  # of this generation of the RAV4, as opendbc has it
_TOYOTA_WHEELS = {"front_left": "FL", "front_right": "FR", "rear_left": "RL", "rear_right": "RR"}

TOYOTA_RAV4_2017 = VehicleMap(
    dbc="powertrain.dbc",
    data="rav4_minute",
    additive=["KINEMATICS", "STEER_ANGLE_SENSOR"],
    periods_s={
        "WHEEL_SPEEDS": 0.012,
        "STEER_ANGLE_SENSOR": 0.012,
        "KINEMATICS": 0.012,
        "PCM_CRUISE": 0.032,
        "BRAKE_MODULE": 0.024,
        "STEER_TORQUE_SENSOR": 0.020,
    },
    signals={
        "speed_mps": [
            Term(signal=f"WHEEL_SPEEDS.WHEEL_SPEED_{short}", scale=_KMH / 4) for short in _TOYOTA_WHEELS.values()
        ],
        **{
            f"wheel_{place}_mps": [Term(signal=f"WHEEL_SPEEDS.WHEEL_SPEED_{short}", scale=_KMH)]
            for place, short in _TOYOTA_WHEELS.items()
        },
        "steering_rad": [
            Term(signal="STEER_ANGLE_SENSOR.STEER_ANGLE", scale=_DEGREE / _TOYOTA_STEERING_RATIO),
            Term(signal="STEER_ANGLE_SENSOR.STEER_FRACTION", scale=_DEGREE / _TOYOTA_STEERING_RATIO),
        ],
        "steering_wheel_rad": [
            Term(signal="STEER_ANGLE_SENSOR.STEER_ANGLE", scale=_DEGREE),
            Term(signal="STEER_ANGLE_SENSOR.STEER_FRACTION", scale=_DEGREE),
        ],
        "yaw_rate_radps": [Term(signal="KINEMATICS.YAW_RATE", scale=_DEGREE)],
        "accel_mps2": [Term(signal="KINEMATICS.ACCEL_X", scale=-1.0)],  # the recorded IMU shows the sign
        "brake_pressed": [Term(signal="BRAKE_MODULE.BRAKE_PRESSED")],
        "gas_pressed": [Term(signal="PCM_CRUISE.GAS_RELEASED", scale=-1.0, offset=1.0)],
        "steering_override": [Term(signal="STEER_TORQUE_SENSOR.STEER_OVERRIDE")],
        "engage_requested": [Term(signal="PCM_CRUISE.CRUISE_ACTIVE")],
        "cancel_requested": [Term(signal="PCM_CRUISE.CANCEL_REQ")],
    },
    verify=["SPEED", "PCM_CRUISE_2", "STEERING_LKA", "ACC_CONTROL", "PRE_COLLISION_2"],
)
"""The recorded minute: Toyota RAV4 of 2017. The driving computer's STEERING_LKA frames stand in the wrong order at four
places of the recording, and its counter shows that."""

VEHICLES = {"reference": REFERENCE, "toyota_rav4_2017": TOYOTA_RAV4_2017}
"""Maps that a config can name."""


def open_map(vehicle: str | VehicleMap, manifest_dir: Path) -> tuple[VehicleMap, Dbc]:
    """The map that a config names or holds, and its DBC file; ConfigError for unknown names and broken files."""
    if isinstance(vehicle, str):
        if vehicle not in VEHICLES:
            raise ConfigError(f'no vehicle "{vehicle}"', hint=near_names(vehicle, list(VEHICLES)))
        vehicle = VEHICLES[vehicle]
    folder = find_data(vehicle.data, manifest_dir) if vehicle.data else manifest_dir
    path = reference_dbc_path() if vehicle.dbc == "reference" else folder / vehicle.dbc
    return vehicle, load_dbc(path, additive=vehicle.additive)


def reference_dbc_path() -> Path:
    """The DBC file of the reference vehicle, shipped with the package."""
    return Path(reference.__path__[0]) / "reference.dbc"
