"""One access unit in a recording: the Protocol Buffers message `foxglove.CompressedVideo`, and what goes with it.

As in raw pictures, one more field holds the other fields of our message and its envelope, as JSON.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from cardan.runtime.record.picture_message import (
    OWN_FIELD,
    TIMESTAMP,
    TIMESTAMP_FILE,
    TIMESTAMP_TYPE,
    Own,
    read_own,
    timestamp_field,
)
from cardan.runtime.record.protobuf import (
    TYPE_BYTES,
    TYPE_MESSAGE,
    TYPE_STRING,
    FieldOf,
    bytes_field,
    bytes_head,
    description_set,
    fields,
    file_description,
)

SCHEMA_NAME = "foxglove.CompressedVideo"
FORMAT = "h264"
_DATA = 3
SCHEMA = description_set(
    TIMESTAMP_FILE,
    file_description(
        "foxglove/CompressedVideo.proto",
        "foxglove",
        "CompressedVideo",
        [
            FieldOf("timestamp", 1, TYPE_MESSAGE, TIMESTAMP_TYPE),
            FieldOf("frame_id", 2, TYPE_STRING),
            FieldOf("data", _DATA, TYPE_BYTES),
            FieldOf("format", 4, TYPE_STRING),
            FieldOf("cardan", OWN_FIELD, TYPE_STRING),
        ],
        (TIMESTAMP,),
    ),
)


def video_parts(topic: str, stamp_ns: int, own: bytes, data: bytes) -> list[bytes | memoryview]:
    """The message in parts. stamp_ns: wall time of the capture. data: one access unit."""
    head = timestamp_field(1, stamp_ns) + bytes_field(2, topic)
    return [head + bytes_head(_DATA, len(data)), data, bytes_field(4, FORMAT) + bytes_field(OWN_FIELD, own)]


class VideoUnit(NamedTuple):
    """One picture of a video."""

    data: bytes
    """The access unit."""
    own: Own


def video_unit(message: bytes) -> VideoUnit:
    """ValueError if it is none."""
    found = dict(fields(message))
    own, data = found.get(OWN_FIELD), found.get(_DATA)
    if not (isinstance(own, memoryview) and isinstance(data, memoryview)):
        raise ValueError("the picture was not recorded by cardan")
    return VideoUnit(bytes(data), read_own(own))


def video_fields(message: bytes) -> dict[str, Any]:
    """The other fields of our message and its envelope, and `h264`, the access unit; ValueError if it is none."""
    unit = video_unit(message)
    return unit.own.with_picture(h264=unit.data)
