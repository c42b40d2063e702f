"""Pictures in a recording: a camera frame as the JPEG message that every MCAP viewer shows."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import Any

import msgspec
import numpy as np

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import ConfigError
from cardan.runtime.record.json_form import ENVELOPE_FIELD, ENVELOPE_SCHEMA

SCHEMA_NAME = "foxglove.CompressedImage"
"""The well-known schema name by which viewers find pictures."""

SCHEMA: dict[str, Any] = {
    "title": SCHEMA_NAME,
    "type": "object",
    "properties": {
        "timestamp": {
            "type": "object",
            "title": "time",
            "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}},
        },
        "frame_id": {"type": "string", "description": "Frame of reference: the topic of the camera."},
        "data": {"type": "string", "contentEncoding": "base64"},
        "format": {"type": "string"},
        "message": {"type": "object", "description": "The message's other fields.", "properties": {}},
        ENVELOPE_FIELD: ENVELOPE_SCHEMA,
    },
}


def is_picture(value: Any) -> bool:
    """True for a message with an `image` field that JPEG can hold: uint8, (height, width) or (height, width, 3)."""
    image = getattr(value, "image", None)
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or 0 in image.shape:
        return False
    return image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)


class PictureForm:
    """The form of a camera topic.

    wall_offset_ns: wall time minus monotonic time, for the timestamp that viewers show.
    quality: 1..95, as libjpeg counts it.
    """

    schema_name = SCHEMA_NAME
    schema = msgspec.json.encode(SCHEMA)

    def __init__(self, topic: str, *, wall_offset_ns: int, quality: int) -> None:
        self._frame_id = topic
        self._wall_offset_ns = wall_offset_ns
        self._quality = quality

    def encode(self, value: Any, origin_ns: int) -> bytes:
        sec, nsec = divmod(origin_ns + self._wall_offset_ns, NS_PER_S)
        others = {name: getattr(value, name) for name in value.__struct_fields__ if name != "image"}
        head = {
            "timestamp": {"sec": sec, "nsec": nsec},
            "frame_id": self._frame_id,
            "format": "jpeg",
            "message": others,
        }
        picture = b64encode(jpeg(value.image, self._quality))
        return b'%s,"data":"%s"}' % (msgspec.json.encode(head)[:-1], picture)


def jpeg(image: np.ndarray, quality: int) -> bytes:
    """`image` (uint8, RGB or grey) as a JPEG file."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError("pictures cannot be recorded: Pillow is not installed", hint=RECORD_HINT) from error
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


RECORD_HINT = "pip install 'cardan[record]'"
