"""One access unit in a recording: the Protocol Buffers message `foxglove.CompressedVideo`, and what goes with it.

As in raw pictures, one more field holds the other fields of our message and its envelope, as JSON.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.record.json_form import ENVELOPE_FIELD
from cardan.runtime.record.protobuf import (
    TYPE_BYTES,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_MESSAGE,
    TYPE_STRING,
    FieldOf,
    bytes_field,
    bytes_head,
    description_set,
    fields,
    file_description,
    number_field,
)
from cardan.runtime.record.raw_picture import OWN_FIELD

SCHEMA_NAME = "foxglove.CompressedVideo"
FORMAT = "h264"
_DATA = 3
_TIMESTAMP = "google/protobuf/timestamp.proto"
SCHEMA = description_set(
    file_description(
        _TIMESTAMP,
        "google.protobuf",
        "Timestamp",
        [FieldOf("seconds", 1, TYPE_INT64), FieldOf("nanos", 2, TYPE_INT32)],
    ),
    file_description(
        "foxglove/CompressedVideo.proto",
        "foxglove",
        "CompressedVideo",
        [
            FieldOf("timestamp", 1, TYPE_MESSAGE, ".google.protobuf.Timestamp"),
            FieldOf("frame_id", 2, TYPE_STRING),
            FieldOf("data", _DATA, TYPE_BYTES),
            FieldOf("format", 4, TYPE_STRING),
            FieldOf("cardan", OWN_FIELD, TYPE_STRING),
        ],
        (_TIMESTAMP,),
    ),
)


class _Own(msgspec.Struct, frozen=True):
    message: dict[str, Any]
    envelope: dict[str, Any] = msgspec.field(name=ENVELOPE_FIELD)


def own_json(value: Any, envelope: dict[str, Any]) -> bytes:
    """What our message says beside its picture."""
    others = {name: getattr(value, name) for name in value.__struct_fields__ if name != "image"}
    return msgspec.json.encode({"message": others, ENVELOPE_FIELD: envelope})


def video_parts(topic: str, stamp_ns: int, own: bytes, data: bytes) -> list[bytes | memoryview]:
    """The message in parts. stamp_ns: wall time of the capture. data: one access unit."""
    seconds, nanos = divmod(stamp_ns, NS_PER_S)
    head = bytes_field(1, number_field(1, seconds) + number_field(2, nanos)) + bytes_field(2, topic)
    return [head + bytes_head(_DATA, len(data)), data, bytes_field(4, FORMAT) + bytes_field(OWN_FIELD, own)]


def video_fields(data: bytes) -> dict[str, Any]:
    """The other fields of our message and its envelope, and `h264`, the access unit; ValueError if it is none."""
    found = dict(fields(data))
    own, unit = found.get(OWN_FIELD), found.get(_DATA)
    if not (isinstance(own, memoryview) and isinstance(unit, memoryview)):
        raise ValueError("the video was not recorded by cardan")
    try:
        ours = msgspec.json.decode(own, type=_Own)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"what goes with the video is damaged: {error}") from error
    return {**ours.message, "h264": bytes(unit), ENVELOPE_FIELD: ours.envelope}
