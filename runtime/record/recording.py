"""One open recording: finds the form and the channel of each topic, and writes samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.messages import Message, type_name
from cardan.runtime.record.json_form import Form, PlainForm, with_envelope
from cardan.runtime.record.mcap_file import McapWriter
from cardan.runtime.record.picture import PictureForm, is_picture

M = TypeVar("M", bound=Message)


class _Channel(msgspec.Struct):
    id: int
    form: Form
    is_picture: bool
    seen: int = 0


class Recording:
    """Writes samples of any topic to one MCAP file. Errors of the disk (OSError) pass through.

    frame_decimation: every n-th picture of a camera topic is written, the others are left out.
    jpeg_quality: 1..95.
    """

    def __init__(
        self, path: Path, metadata: dict[str, str], *, wall_offset_ns: int, frame_decimation: int, jpeg_quality: int
    ) -> None:
        self._writer = McapWriter(path, metadata, wall_offset_ns=wall_offset_ns)
        self._wall_offset_ns = wall_offset_ns
        self._frame_decimation = frame_decimation
        self._jpeg_quality = jpeg_quality
        self._channels: dict[str, _Channel] = {}
        self._oldest_unsaved_ns: int | None = None
        self._closed_bytes = self._writer.bytes_written
        self.path = path
        self.messages = 0
        """Messages written so far, those of the open chunk included."""
        self.saved = 0
        """Messages in closed chunks: a kill does not lose them."""

    @property
    def bytes_written(self) -> int:
        """Size of the file, without the open chunk."""
        return self._writer.bytes_written

    def write(self, sample: Sample[M]) -> bool:
        """Add one sample; False for a picture that is left out by decimation.

        TypeError when the message has a field without a JSON form: nothing is written then.
        """
        channel = self._channels.get(sample.topic) or self._announce(sample)
        channel.seen += 1
        if channel.is_picture and (channel.seen - 1) % self._frame_decimation:
            return False
        body = channel.form.encode(sample.value, sample.origin_ns)
        data = with_envelope(body, sample.origin_ns, sample.valid, sample.epoch)
        self._writer.write(channel.id, sent_ns=sample.sent_ns, sequence=sample.seq, data=data)
        self.messages += 1
        self._oldest_unsaved_ns = self._oldest_unsaved_ns or sample.sent_ns
        if self._writer.bytes_written != self._closed_bytes:
            self._chunk_ended()
        return True

    def end_chunk_if_due(self, now_ns: int, age_ns: int) -> None:
        """Close the open chunk when its oldest message is older than `age_ns`."""
        if self._oldest_unsaved_ns is not None and now_ns - self._oldest_unsaved_ns > age_ns:
            self._writer.end_chunk()
            self._chunk_ended()

    def _chunk_ended(self) -> None:
        self._oldest_unsaved_ns = None
        self._closed_bytes = self._writer.bytes_written
        self.saved = self.messages

    def sync(self) -> None:
        """Bring closed chunks to the disk; blocks for as long as the disk takes."""
        self._writer.sync()

    def finish(self) -> None:
        """Write index and footer, sync, close."""
        self._writer.finish()
        self.saved = self.messages

    def abandon(self) -> None:
        """Close the file as it is; it is repaired later."""
        self._writer.abandon()

    def _announce(self, sample: Sample[M]) -> _Channel:
        picture = is_picture(sample.value)
        form = self._form(sample.topic, type(sample.value), picture)
        metadata = {"type": type_name(type(sample.value))}
        channel_id = self._writer.add_channel(sample.topic, form.schema_name, form.schema, metadata)
        channel = _Channel(channel_id, form, picture)
        self._channels[sample.topic] = channel
        return channel

    def _form(self, topic: str, message_type: type[Any], picture: bool) -> Form:
        if picture:
            return PictureForm(topic, wall_offset_ns=self._wall_offset_ns, quality=self._jpeg_quality)
        return PlainForm(message_type)
