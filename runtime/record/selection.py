"""The messages of some topics of a recording, in file order; chunks without any of them are passed over unread.

Behind each chunk our files say where in it the messages of each topic begin (message index of the MCAP specification,
version 0, https://mcap.dev/spec), so the other messages of a chunk are not looked at either. Where that is missing, as
behind the last chunk of a recorder that was killed, the chunk is searched. Files of other writers are read whole.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cardan.runtime.record.mcap_chunk import zstd
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages
from cardan.runtime.record.mcap_layout import CHANNEL, CHUNK, HEADER, MESSAGE, MESSAGE_INDEX, RECORD, SCHEMA, records_in
from cardan.runtime.record.places import Place, places
from cardan.runtime.record.window import Channel, channel_of, plain, schema_of

Wanted = Callable[[Channel], bool]
"""Whether the messages of a topic are asked for."""
OURS = b"cardan"
"""How the name of the writer begins in files of our own."""
HEADER_BYTES = 1 << 10
"""Of the header, at most, to find that name."""
_MESSAGE = struct.Struct("<BQHIQQ")
_FIELDS = _MESSAGE.size - RECORD.size
_CONTENT = struct.Struct("<HIQQ")
_INDEX = struct.Struct("<HI")
_PAIR = struct.Struct("<QQ")
_Pair = tuple[int, int]
"""Log time of a message, and its offset in the chunk."""
_Index = dict[int, bytes]
"""Channel -> its pairs, 64 bits each."""


def selected_messages(path: Path, wanted: Wanted) -> Iterator[RecordedMessage]:
    """The wanted messages, in file order. An unfinished or damaged file is read up to its damage."""
    with _opened(path) as file:
        if not file.is_ours():
            yield from (message for message in read_messages(path) if wanted(_channel_of(message)))
            return
        known = _Known(wanted)
        for place, index in file.chunks():
            if index is not None and known.passes_over(index):
                continue
            data = file.plain_or_none(place)
            if data is None:
                return
            yield from known.messages(data, index)


def newest_message_or_none(path: Path, wanted: Wanted) -> RecordedMessage | None:
    """The last of the wanted messages that can be read; of all chunks only one is read for it, and those before the
    topic is known."""
    with _opened(path) as file:
        if not file.is_ours():
            return _last(message for message in read_messages(path) if wanted(_channel_of(message)))
        known, candidates = _Known(wanted), []
        for place, index in file.chunks():
            if index is None or known.unknown(index):
                data = file.plain_or_none(place)
                if data is None:
                    break
                known.learn(data)
            if index is None or not known.passes_over(index):
                candidates.append((place, index))
        for place, index in reversed(candidates):
            data = file.plain_or_none(place)
            found = _last(known.messages(data, index)) if data is not None else None
            if found is not None:
                return found
        return None


def _last(messages: Iterable[RecordedMessage]) -> RecordedMessage | None:
    newest: deque[RecordedMessage] = deque(messages, maxlen=1)
    return newest[0] if newest else None


def _channel_of(message: RecordedMessage) -> Channel:
    return Channel(message.topic, message.type_name, message.encoding, message.schema)


class _Known:
    """The channels of a file as far as they were announced, and which of them are wanted."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._channels: dict[int, Channel | None] = {}
        """None for those that are not wanted."""
        self._schemas: dict[int, str] = {}

    def unknown(self, index: _Index) -> bool:
        """True when a chunk has messages of a channel that was not announced before it."""
        return not index.keys() <= self._channels.keys()

    def passes_over(self, index: _Index) -> bool:
        """True when a chunk has nothing that is wanted."""
        channels = self._channels
        return all(number in channels and channels[number] is None for number in index)

    def learn(self, data: bytes) -> None:
        """Take the announcements of a chunk, which stand before its messages."""
        with suppress(ValueError):
            for opcode, _, content in records_in(data):
                if opcode == MESSAGE:
                    return
                if opcode == SCHEMA and (named := schema_of(content)) is not None:
                    self._schemas[named[0]] = named[1]
                elif opcode == CHANNEL and (found := channel_of(content, self._schemas)) is not None:
                    self._channels[found[0]] = found[1] if self._wanted(found[1]) else None

    def messages(self, data: bytes, index: _Index | None) -> list[RecordedMessage]:
        """The wanted messages of a chunk. An index that does not fit it is not believed, its own records are."""
        if index is None or self.unknown(index):
            self.learn(data)
        found = self._read(data, self._places(index)) if index is not None else None
        return found if found is not None else self._read(data, self._searched(data)) or []

    def _places(self, index: _Index) -> list[_Pair]:
        pairs = [pairs for number, pairs in index.items() if self._channels.get(number) is not None]
        every = [pair for part in pairs for pair in _PAIR.iter_unpack(part[: len(part) & ~15])]
        return sorted(every, key=lambda pair: pair[1]) if len(pairs) > 1 else every

    def _read(self, data: bytes, places: list[_Pair]) -> list[RecordedMessage] | None:
        """None when one of the places is not that of a wanted message with this log time."""
        found = []
        for expected_ns, offset in places:
            if offset + _MESSAGE.size > len(data):
                return None
            opcode, length, number, sequence, log_ns, sent_ns = _MESSAGE.unpack_from(data, offset)
            channel = self._channels.get(number)
            content = data[offset + _MESSAGE.size : offset + RECORD.size + length]
            if opcode != MESSAGE or log_ns != expected_ns or channel is None or len(content) != length - _FIELDS:
                return None
            topic, type_name, *form = channel
            found.append(RecordedMessage(topic, type_name, sequence, log_ns, sent_ns, content, *form))
        return found

    def _searched(self, data: bytes) -> list[_Pair]:
        """Log time and place of the wanted messages of a chunk, up to where it is none of ours."""
        found = []
        with suppress(ValueError, struct.error):
            for opcode, offset, content in records_in(data):
                if opcode == MESSAGE:
                    number, _, log_ns, _ = _CONTENT.unpack_from(content)
                    if self._channels.get(number) is not None:
                        found.append((log_ns, offset))
        return found


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield _File(descriptor)
    finally:
        os.close(descriptor)


class _File:
    """An MCAP file, read by place."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decompressor: Any = zstd().ZstdDecompressor()

    def is_ours(self) -> bool:
        """True when its header says that cardan wrote it."""
        first = next(places(self._descriptor), None)
        if first is None or first.opcode != HEADER:
            return False
        content = os.pread(self._descriptor, min(first.length, HEADER_BYTES), first.begin)
        library_at = 4 + int.from_bytes(content[:4], "little") + 4
        return content[library_at:].startswith(OURS)

    def chunks(self) -> Iterator[tuple[Place, _Index | None]]:
        """Every chunk with its message index, None where that may be missing; up to damage."""
        waiting: Place | None = None
        for place in places(self._descriptor):
            if waiting is not None:
                yield waiting, self._index_of(waiting)
            waiting = place if place.opcode == CHUNK else None
        if waiting is not None:  # nothing whole comes behind it
            yield waiting, None

    def _index_of(self, place: Place) -> _Index | None:
        start = place.begin + place.length
        found: _Index = {}
        for opcode, _, content in records_in(os.pread(self._descriptor, place.end - start, start)):
            if opcode == MESSAGE_INDEX and len(content) >= _INDEX.size:
                found[_INDEX.unpack_from(content)[0]] = bytes(content[_INDEX.size :])
        return found or None

    def plain_or_none(self, place: Place) -> bytes | None:
        """What the chunk holds; None when it is damaged."""
        try:
            return plain(os.pread(self._descriptor, place.length, place.begin), self._decompressor)
        except ValueError:
            return None
