"""What the messages of recorded pictures have in common: when they were taken, and what our message says beside them.

Both are those of Foxglove in Protocol Buffers; one more field holds, as JSON, the other fields of our message and its
envelope.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.record.json_form import ENVELOPE_FIELD
from cardan.runtime.record.protobuf import TYPE_INT32, TYPE_INT64, FieldOf, bytes_field, file_description, number_field

OWN_FIELD = 1000
"""Number of the field with our JSON."""
TIMESTAMP = "google/protobuf/timestamp.proto"
TIMESTAMP_TYPE = ".google.protobuf.Timestamp"
TIMESTAMP_FILE = file_description(
    TIMESTAMP,
    "google.protobuf",
    "Timestamp",
    [FieldOf("seconds", 1, TYPE_INT64), FieldOf("nanos", 2, TYPE_INT32)],
)


def timestamp_field(number: int, stamp_ns: int) -> bytes:
    """A field that is a Timestamp. stamp_ns: wall time."""
    seconds, nanos = divmod(stamp_ns, NS_PER_S)
    return bytes_field(number, number_field(1, seconds) + number_field(2, nanos))


class Own(msgspec.Struct, frozen=True):
    """What a message of ours says beside its picture."""

    message: dict[str, Any]
    envelope: dict[str, Any] = msgspec.field(name=ENVELOPE_FIELD)
    shape: list[int] = []
    """Of the picture, as numpy has it; empty in recordings of earlier releases."""

    def with_picture(self, **picture: Any) -> dict[str, Any]:
        """All fields, and the envelope."""
        return {**self.message, **picture, ENVELOPE_FIELD: self.envelope}


def own_json(value: Any, envelope: dict[str, Any]) -> bytes:
    """`Own` of a message, as JSON."""
    others = {name: getattr(value, name) for name in value.__struct_fields__ if name != "image"}
    return msgspec.json.encode({"message": others, ENVELOPE_FIELD: envelope, "shape": value.image.shape})


def read_own(own: memoryview) -> Own:
    """What `own_json` gave; ValueError if it is damaged."""
    try:
        return msgspec.json.decode(own, type=Own)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"what goes with the picture is damaged: {error}") from error
