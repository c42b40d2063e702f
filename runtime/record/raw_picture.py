"""Pictures as they are: a camera frame as the Protocol Buffers message that MCAP viewers show, pixels not touched.

The well-known message is `foxglove.RawImage`; one more field holds, as JSON, the other fields of our message and its
envelope. Protocol Buffers, because JSON would make the pixels a third longer and cost a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cardan.runtime.record.picture_message import (
    OWN_FIELD,
    TIMESTAMP,
    TIMESTAMP_FILE,
    TIMESTAMP_TYPE,
    own_json,
    read_own,
    timestamp_field,
)
from cardan.runtime.record.pixel_memory import PixelMemory
from cardan.runtime.record.protobuf import (
    TYPE_BYTES,
    TYPE_FIXED32,
    TYPE_MESSAGE,
    TYPE_STRING,
    FieldOf,
    bytes_field,
    bytes_head,
    description_set,
    fields,
    file_description,
    fixed32_field,
)

SCHEMA_NAME = "foxglove.RawImage"
ENCODING = "protobuf"

SCHEMA = description_set(
    TIMESTAMP_FILE,
    file_description(
        "foxglove/RawImage.proto",
        "foxglove",
        "RawImage",
        [
            FieldOf("timestamp", 1, TYPE_MESSAGE, TIMESTAMP_TYPE),
            FieldOf("width", 2, TYPE_FIXED32),
            FieldOf("height", 3, TYPE_FIXED32),
            FieldOf("encoding", 4, TYPE_STRING),
            FieldOf("step", 5, TYPE_FIXED32),
            FieldOf("data", 6, TYPE_BYTES),
            FieldOf("frame_id", 7, TYPE_STRING),
            FieldOf("cardan", OWN_FIELD, TYPE_STRING),
        ],
        (TIMESTAMP,),
    ),
)


def raw_parts(
    topic: str, value: Any, stamp_ns: int, envelope: dict[str, Any], memory: PixelMemory
) -> list[bytes | memoryview]:
    """The message in parts: what is before the pixels, the pixels (a copy), what is behind them.

    value: a message with an image as `is_picture` takes it. stamp_ns: wall time of the capture. memory: for the copy.
    """
    image: np.ndarray = value.image
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    pixels = memory.copy(image)
    head = [
        timestamp_field(1, stamp_ns),
        fixed32_field(2, width),
        fixed32_field(3, height),
        bytes_field(4, "rgb8" if channels == 3 else "mono8"),
        fixed32_field(5, width * channels),
        bytes_head(6, len(pixels)),
    ]
    own = bytes_field(OWN_FIELD, own_json(value, envelope))
    return [b"".join(head), pixels, bytes_field(7, topic) + own]


def raw_fields(data: bytes) -> dict[str, Any]:
    """The fields of a recorded message, `image` included, and its envelope; ValueError if it is no raw picture."""
    found = dict(fields(data))
    own, pixels, encoding = found.get(OWN_FIELD), found.get(6), found.get(4)
    width, height = found.get(2), found.get(3)
    if not (isinstance(own, memoryview) and isinstance(pixels, memoryview) and isinstance(encoding, memoryview)):
        raise ValueError("the picture was not recorded by cardan")
    if not (isinstance(width, int) and isinstance(height, int)):
        raise ValueError("the picture has no size")
    channels = 3 if bytes(encoding) == b"rgb8" else 1
    if len(pixels) != height * width * channels:
        raise ValueError(f"the picture has {len(pixels)} bytes, {width}x{height}x{channels} were expected")
    shape = (height, width, channels) if channels == 3 else (height, width)
    return read_own(own).with_picture(image=np.frombuffer(pixels, np.uint8).reshape(shape))
