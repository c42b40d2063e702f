"""Recorded messages back to what they were: the other direction of `json_form`, and of the forms of pictures."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from io import BytesIO
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.errors import ConfigError, RunError
from cardan.runtime.messages import Message
from cardan.runtime.record.json_form import ENVELOPE_FIELD, recorded_type
from cardan.runtime.record.mcap_file import RecordedMessage
from cardan.runtime.record.picture import RECORD_HINT
from cardan.runtime.record.raw_picture import ENCODING, raw_fields
from cardan.runtime.record.video.message import SCHEMA_NAME as VIDEO
from cardan.runtime.record.video.message import video_fields

M = TypeVar("M", bound=Message)


class _Envelope(msgspec.Struct, frozen=True):
    origin_ns: int
    valid: bool
    epoch: int


class ReadBack(Generic[M]):
    """Reads the recorded messages of one type. Pictures come back as JPEG or H.264 keeps them: near, not equal.

    video: the pictures of a message's video; without it one that was recorded as H.264 is refused.
    """

    def __init__(self, message_type: type[M], video: Callable[[RecordedMessage], np.ndarray] | None = None) -> None:
        self._type = message_type
        self._video = video
        self._recorded: type[Any] = recorded_type(message_type)

    def read(self, recorded: RecordedMessage) -> Sample[M]:
        """The message with its envelope; RunError when it cannot be one of this type (a NaN is `null` in JSON)."""
        if recorded.schema == VIDEO and self._video is None:
            what = f"the pictures of {recorded.topic} were recorded as H.264, which is not decoded here"
            raise RunError(what, hint='record the topic with frames = "raw" or "jpeg" for who reads its pictures')
        try:
            fields = self._fields(recorded)
            envelope = msgspec.convert(fields.pop(ENVELOPE_FIELD), type=_Envelope)
            value = self._value(fields)
        except (msgspec.MsgspecError, KeyError, AttributeError, ValueError, TypeError, OSError) as error:
            what = f"a recorded message of {recorded.topic} cannot be read as {self._type.__name__}: {error}"
            raise RunError(what, hint="was its type changed since it was recorded?") from error
        return Sample(
            value,
            recorded.topic,
            recorded.sequence,
            envelope.epoch,
            recorded.sent_ns,
            envelope.origin_ns,
            envelope.valid,
        )

    def _fields(self, recorded: RecordedMessage) -> dict[str, Any]:
        fields = fields_of(recorded)
        if recorded.schema == VIDEO and self._video is not None:
            del fields["h264"]
            fields["image"] = self._video(recorded)
        return fields

    def _value(self, fields: dict[str, Any]) -> M:
        if fields.get("format") == "jpeg" and "message" in fields:
            fields = {**fields["message"], "image": _picture(fields["data"])}
        value = msgspec.convert(fields, type=self._recorded, dec_hook=_array)
        if self._recorded is self._type:
            return value  # type: ignore[no-any-return]  # it is of the type that was asked for
        return msgspec.convert(value, type=self._type, from_attributes=True, dec_hook=_array)


def fields_of(recorded: RecordedMessage) -> dict[str, Any]:
    """The fields of a recorded message, its envelope among them; ValueError when it is damaged."""
    if recorded.schema == VIDEO:
        return video_fields(recorded.data)
    if recorded.encoding == ENCODING:
        return raw_fields(recorded.data)
    try:
        return msgspec.json.decode(recorded.data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def _picture(data: str) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError("recorded pictures cannot be read: Pillow is not installed", hint=RECORD_HINT) from error
    return np.asarray(Image.open(BytesIO(b64decode(data))))


def _array(expected: type, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, dict):
        return np.frombuffer(b64decode(value["data"]), np.dtype(value["dtype"])).reshape(value["shape"])
    raise TypeError(f"expected an array for {expected}, got {type(value).__name__}")
