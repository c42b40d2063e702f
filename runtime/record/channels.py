"""The channels of a recording: the form and the records of each topic, found with its first message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.messages import type_name
from cardan.runtime.record.json_form import Form, PlainForm, with_envelope
from cardan.runtime.record.mcap_chunk import ChunkBuilder
from cardan.runtime.record.mcap_writer import ChannelRecords, channel_records
from cardan.runtime.record.picture import PictureForm, is_picture
from cardan.runtime.record.pixel_memory import PixelMemory
from cardan.runtime.record.raw_picture import ENCODING, SCHEMA, SCHEMA_NAME, raw_parts
from cardan.runtime.record.video import message

if TYPE_CHECKING:
    from cardan.runtime.record.video.child import Coded
    from cardan.runtime.record.video.tracks import Track


class Channel(msgspec.Struct, frozen=True):
    """One topic. form: None for raw pictures."""

    number: int
    form: Form | None
    is_picture: bool


class Channels:
    """Finds the channel of each topic, and writes samples into chunks.

    wall_offset_ns: wall time minus monotonic time. jpeg_quality: 1..95. is_raw: topics whose pictures are kept as
    they are. records: what files announce, by number; it grows.
    """

    def __init__(
        self, *, wall_offset_ns: int, jpeg_quality: int, is_raw: Callable[[str], bool] = lambda topic: False
    ) -> None:
        self.records: dict[int, ChannelRecords] = {}
        self._by_topic: dict[str, Channel] = {}
        self._videos: dict[str, int] = {}
        self._offset_ns = wall_offset_ns
        self._jpeg_quality = jpeg_quality
        self._is_raw = is_raw
        self._memory = PixelMemory()

    def of(self, sample: Sample[Any]) -> Channel:
        """The channel of the sample's topic."""
        return self._by_topic.get(sample.topic) or self._announce(sample)

    def add(self, chunk: ChunkBuilder, sample: Sample[Any]) -> None:
        """Write one sample into `chunk`; TypeError when a field has no JSON form: nothing is written then."""
        channel = self.of(sample)
        log_ns = max(0, sample.sent_ns + self._offset_ns)
        if channel.form is None:
            envelope = {"origin_ns": sample.origin_ns, "valid": sample.valid, "epoch": sample.epoch}
            parts = raw_parts(
                sample.topic, sample.value, max(0, sample.origin_ns + self._offset_ns), envelope, self._memory
            )
            chunk.add_parts(channel.number, sample.seq, log_ns, sample.sent_ns, parts)
            return
        body = channel.form.encode(sample.value, sample.origin_ns)
        data = with_envelope(body, sample.origin_ns, sample.valid, sample.epoch)
        chunk.add(channel.number, sample.seq, log_ns, sample.sent_ns, data)

    def add_video(self, chunk: ChunkBuilder, track: Track, coded: Coded) -> None:
        """Write one encoded picture, in a channel of its own beside the one of pictures that were not encoded."""
        frame, topic = coded.frame, track.topic
        if topic not in self._videos:
            number = self._videos[topic] = len(self.records) + 1
            metadata = {"type": track.type_name}
            self.records[number] = channel_records(
                number, topic, message.SCHEMA_NAME, message.SCHEMA, metadata, ENCODING
            )
        log_ns, stamp_ns = (max(0, at_ns + self._offset_ns) for at_ns in (frame.sent_ns, frame.origin_ns))
        parts = message.video_parts(topic, stamp_ns, frame.own, coded.unit.data)
        chunk.add_parts(self._videos[topic], frame.sequence, log_ns, frame.sent_ns, parts)

    def _announce(self, sample: Sample[Any]) -> Channel:
        topic, kind, picture = sample.topic, type(sample.value), is_picture(sample.value)
        number, metadata = len(self.records) + 1, {"type": type_name(kind)}
        if picture and self._is_raw(topic):
            form: Form | None = None
            self.records[number] = channel_records(number, topic, SCHEMA_NAME, SCHEMA, metadata, ENCODING)
        else:
            form = self._form(topic, kind, picture)
            self.records[number] = channel_records(number, topic, form.schema_name, form.schema, metadata)
        channel = self._by_topic[topic] = Channel(number, form, picture)
        return channel

    def _form(self, topic: str, kind: type[Any], picture: bool) -> Form:
        if picture:
            return PictureForm(topic, wall_offset_ns=self._offset_ns, quality=self._jpeg_quality)
        return PlainForm(kind)
