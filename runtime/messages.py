"""The message types of the reference vehicle: one frozen struct each, units in the field names.

Vehicle frame: origin on the ground below the middle of the rear axle, x forward, y left, z up.
Angles are counter-clockwise positive seen from above, so steering left is positive.
A message is encoded as a msgpack map, so that a reader without these types still sees names.
"""

from __future__ import annotations

import zlib
from typing import Any, get_type_hints

import msgspec
import numpy as np


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What a topic carries. Subclass it; fields may be numbers, strings, bytes, lists, structs, and numpy arrays.

    A numpy array (uint8 images above all) travels as a descriptor of a shared-memory slot; the reader gets a
    read-only view.
    """


class AnyMessage(Message, frozen=True, kw_only=True):
    """Declares an input that takes topics of every type (recorder, outbox)."""


class CanFrame(msgspec.Struct, frozen=True, array_like=True):
    """One CAN or CAN FD frame as it was on the bus."""

    channel: str
    """Name of the channel in the profile, not of the device."""
    id: int
    """11- or 29-bit identifier."""
    data: bytes
    """0..8 bytes (CAN) or 0..64 bytes (CAN FD)."""
    stamp_ns: int
    """Monotonic time of reception, or of sending."""
    extended: bool = False
    fd: bool = False
    error: bool = False
    """True for an error frame of the controller; `id` then holds its error class bits."""


class CanFrames(Message, frozen=True, kw_only=True):
    """A batch of CAN frames in bus order."""

    frames: list[CanFrame]


class VehicleState(Message, frozen=True, kw_only=True):
    """What the vehicle reports about itself, decoded from its bus."""

    stamp_ns: int
    """Reception of the newest frame that went into this state."""
    speed_mps: float
    wheel_speed_mps: tuple[float, float, float, float]
    """Front left, front right, rear left, rear right."""
    steering_rad: float
    """Angle of the front wheels."""
    steering_wheel_rad: float
    yaw_rate_radps: float
    accel_mps2: float
    """Longitudinal acceleration."""
    brake_pressed: bool
    gas_pressed: bool
    engage_requested: bool
    """The driver's own engage signal (button or stalk), while it is held."""
    cancel_requested: bool
    frames_decoded: int
    """Frames decoded and trusted since the node started."""
    checksum_failures: int
    counter_failures: int


class CameraFrame(Message, frozen=True, kw_only=True):
    """One picture of a camera."""

    frame_id: int
    """Counts up by one a frame since the camera was opened."""
    image: np.ndarray
    """uint8 (height, width, 3), RGB."""


class CameraCalibration(Message, frozen=True, kw_only=True):
    """Where a pinhole camera sits and how it sees: with it, points of the vehicle frame are found in its picture."""

    width_px: int
    height_px: int
    focal_x_px: float
    focal_y_px: float
    centre_x_px: float
    """Where the optical axis meets the picture; (0, 0) is the corner of the first pixel, x right, y down."""
    centre_y_px: float
    x_m: float
    """Of the lens, vehicle frame."""
    y_m: float
    z_m: float
    yaw_rad: float = 0.0
    """To the left."""
    pitch_rad: float = 0.0
    """Downwards."""
    roll_rad: float = 0.0
    """Right side down."""
    front_bumper_x_m: float = 0.0
    """Vehicle frame: gaps are measured from there."""


class SimTruth(Message, frozen=True, kw_only=True):
    """The state of the simulated world: for the simulated sensors and for scoring, never for control."""

    step: int
    x_m: float
    """World frame, of the rear axle."""
    y_m: float
    heading_rad: float
    speed_mps: float
    accel_mps2: float
    yaw_rate_radps: float
    steering_rad: float
    road_s_m: float
    """Distance along the road."""
    lane_offset_m: float
    """Of the middle of the vehicle from the lane centre, left positive."""
    lane_width_m: float
    centre_x_m: tuple[float, ...]
    """Stations ahead in the vehicle frame at which the lane centre is given."""
    centre_y_m: tuple[float, ...]
    """Lane centre in the vehicle frame at each station."""
    lead_present: bool
    lead_gap_m: float
    """From our front bumper to the lead's rear bumper; 0 when there is none."""
    lead_x_m: float
    """Rear of the lead in the vehicle frame."""
    lead_y_m: float
    lead_heading_rad: float
    """Relative to our heading."""
    lead_speed_mps: float
    driver_in_control: bool
    """True while the simulated driver steers and brakes (not engaged, or taken over)."""


class EngineResult(Message, frozen=True, kw_only=True):
    """What every engine says about the run that a message comes from; its own message adds the data.

    Each field that is added has a default: it stands where there is no data. The topic's `origin_ns` is the capture.
    """

    status: str
    """ok; late: after its deadline; fallback: from a network or backend that stands in. These three carry data.
    invalid: the numbers were not finite, out of range or impossible; stale: no frame came to a result."""
    frame_id: int
    """Of the frame that was run; -1 while none was."""
    model: str = ""
    """First 12 hex digits of the SHA-256 of the network."""
    start_ns: int = 0
    end_ns: int = 0
    """Begin and end of the run; both 0 when nothing was run."""
    deadline_ns: int = 0
    """When the result was due."""
    dropped: int = 0
    """Frames since the previous message that were not run."""


class RoadView(EngineResult, frozen=True, kw_only=True):
    """What the road engine saw in one camera frame."""

    x_m: tuple[float, ...] = ()
    """Stations ahead, vehicle frame."""
    left_y_m: tuple[float, ...] = ()
    """Left line of the own lane at each station."""
    right_y_m: tuple[float, ...] = ()
    lane_probability: float = 0.0
    lead_probability: float = 0.0
    lead_gap_m: float = 0.0
    """From our front bumper to the lead's rear bumper; 0 unless `lead_probability` >= 0.5."""
    lead_y_m: float = 0.0


class ActuatorCommand(Message, frozen=True, kw_only=True):
    """What control asks of the actuators; the bridge checks every field against the envelope."""

    cycle: int
    """Counts up by one a control period."""
    steering_rad: float
    """Angle of the front wheels."""
    accel_mps2: float
    envelope_hash: str
    """Hash of the limits that the controller holds; the bridge arms only when it equals its own."""


ACTUATOR_SIGNALS: dict[type[Message], tuple[str, ...]] = {ActuatorCommand: ("steering_rad", "accel_mps2")}
"""Message types that move the vehicle, with the fields that need an envelope."""


class BridgeVerdict(Message, frozen=True, kw_only=True):
    """The bridge's answer to the newest command, in the same period."""

    cycle: int
    """`cycle` of the command it speaks of; -1 when there was none."""
    engagement: str
    """disabled, pre-enabled, enabled, overriding, soft-disabling, safe-stop or fault-latched."""
    armed: bool
    accepted: bool
    """True when the command went to the bus as it was."""
    reason: str
    """Code of the verdict; `ok` when accepted."""
    cause: str
    """The one cause of the newest engagement transition."""
    steering_rad: float
    """Last value that went to the bus: the controller ramps from here."""
    accel_mps2: float


def type_name(message_type: type[Message]) -> str:
    """`module:Class` of a message type, as written in plans and recordings."""
    return f"{message_type.__module__}:{message_type.__qualname__}"


def schema_id(message_type: type[Message]) -> int:
    """32-bit id of the shape of a message type: equal only if names, order, and types of all fields are."""
    return zlib.crc32(_shape(message_type).encode())


def _shape(struct_type: type[msgspec.Struct]) -> str:
    hints = get_type_hints(struct_type)
    fields = (f"{name}:{_type_shape(hints[name])}" for name in struct_type.__struct_fields__)
    return f"{struct_type.__qualname__}({','.join(fields)})"


def _type_shape(hint: Any) -> str:
    arguments = getattr(hint, "__args__", ())
    if arguments:
        origin = getattr(getattr(hint, "__origin__", hint), "__name__", "union")
        return f"{origin}[{','.join(_type_shape(item) for item in arguments)}]"
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _shape(hint)
    return getattr(hint, "__name__", str(hint))
