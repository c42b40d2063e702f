"""One recording that parts are taken of: where its chunks lie, what its channels are, and a chunk of it as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from cardan.runtime.bundle.trim import Index, index_or_none
from cardan.runtime.record.mcap_layout import CHANNEL, CHUNK, METADATA, SCHEMA, chunk_info_or_none
from cardan.runtime.record.mcap_writer import ChannelRecords
from cardan.runtime.record.places import Place, places
from cardan.runtime.record.window import channel_of, inside, metadata_of, plain

NEVER_NS = 1 << 63


class Plain(NamedTuple):
    """What a chunk holds."""

    data: bytes
    indexes: Index


class Source:
    """An MCAP file, open; `close()` it. OSError when it cannot be read; a damaged one is read up to its damage."""

    def __init__(self, path: Path) -> None:
        self.topics: dict[int, str] = {}
        self.channels: dict[int, ChannelRecords] = {}
        self.metadata: dict[str, str] = {}
        self._schemas: dict[int, bytes] = {}
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._places = list(places(self._descriptor))
            for place in self._places:
                self._announce(place)
        except OSError:
            self.close()
            raise

    @property
    def begin_ns(self) -> int:
        """Of its first chunk; later than any other where it has none."""
        return next((place.first_ns for place in self._places if place.opcode == CHUNK), NEVER_NS)

    def close(self) -> None:
        os.close(self._descriptor)

    def chunks(self, begin_ns: int, end_ns: int) -> list[Place]:
        """The chunks with messages of a span of wall time, in file order."""
        return [place for place in self._places if place.overlaps(begin_ns, end_ns)]

    def read(self, place: Place) -> Plain | None:
        """A chunk; None when it is damaged. Where its indexes are missing, it is read message by message."""
        content = self._content(place)
        try:
            data = plain(content)
        except ValueError:
            return None
        behind = place.begin + place.length
        index = index_or_none(os.pread(self._descriptor, place.end - behind, behind), data)
        if index is None:
            info = chunk_info_or_none(content)
            index = {channel: bytes(pairs) for channel, pairs in info.messages.items()} if info is not None else {}
        return Plain(data, index) if index else None

    def _content(self, place: Place) -> bytes:
        return os.pread(self._descriptor, place.length, place.begin)

    def _announce(self, place: Place) -> None:
        """Take what a record says of channels and of the file."""
        if place.announces:
            for opcode, content in inside(self._content(place)):
                self._take(opcode, bytes(content) if opcode in (SCHEMA, CHANNEL) else b"")
        elif place.opcode in (SCHEMA, CHANNEL, METADATA):
            self._take(place.opcode, self._content(place))

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == METADATA:
            self.metadata |= metadata_of(content)
        elif opcode == SCHEMA:
            self._schemas[int.from_bytes(content[:2], "little")] = content
        elif opcode == CHANNEL and (found := channel_of(content)) is not None:
            number, schema = found[0], self._schemas.get(int.from_bytes(content[2:4], "little"))
            if schema is not None:
                self.topics[number] = found[1].topic
                self.channels[number] = ChannelRecords(schema, content)
