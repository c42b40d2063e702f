"""A span of a recording: chunks outside of it are passed over unread, so that an hour costs little more than a minute.

Record layouts: MCAP specification version 0, https://mcap.dev/spec. Damaged files are read as far as they go.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from zlib_ng.zlib_ng import crc32

from cardan.runtime.record.mcap_file import RecordedMessage
from cardan.runtime.record.mcap_layout import CHANNEL, CHUNK, MESSAGE, RECORD, SCHEMA
from cardan.runtime.record.places import LARGEST_CHUNK, places

_CHUNK = struct.Struct("<QQQII")
_MESSAGE = struct.Struct("<HIQQ")
FORWARD = frozenset(range(1, 6)) | {12}
"""Records outside of chunks that say what a file is: header, schemas, channels, messages, metadata."""


class Part(NamedTuple):
    """One record of the top level."""

    opcode: int
    content: bytes


def parts(path: Path, begin_ns: int, end_ns: int) -> Iterator[Part]:
    """The records of a file without the chunks that lie outside of a span of wall time; ends at damage.

    A chunk that announces a channel comes in any case, because messages of it may follow in the span.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for place in places(descriptor):
            if place.opcode in FORWARD or place.announces or place.overlaps(begin_ns, end_ns):
                yield Part(place.opcode, os.pread(descriptor, place.length, place.begin))
    finally:
        os.close(descriptor)


class Inner(NamedTuple):
    """One record inside of a chunk."""

    opcode: int
    content: memoryview


def inside(chunk: bytes) -> Iterator[Inner]:
    """The records of a chunk, up to its damage."""
    try:
        data = plain(chunk)
    except ValueError:
        return
    view, at = memoryview(data), 0
    while at + RECORD.size <= len(view):
        opcode, length = RECORD.unpack_from(view, at)
        begin, at = at + RECORD.size, at + RECORD.size + length
        if at > len(view):
            return
        yield Inner(opcode, view[begin:at])


def plain(chunk: bytes, decompressor: Any = None) -> bytes:
    """What the content of a chunk record holds; ValueError when that is not what it says.

    decompressor: of zstandard, where many chunks are read one after the other.
    """
    if len(chunk) < _CHUNK.size:
        raise ValueError(f"a chunk of {len(chunk)} bytes")
    _, _, size, crc, name_length = _CHUNK.unpack_from(chunk)
    name_end = _CHUNK.size + name_length
    compression, data = chunk[_CHUNK.size : name_end], chunk[name_end + 8 :]
    if size > LARGEST_CHUNK:
        raise ValueError(f"a chunk of {size} bytes")
    if compression == b"zstd":
        import zstandard

        try:
            data = (decompressor or zstandard.ZstdDecompressor()).decompress(data, size)
        except (zstandard.ZstdError, MemoryError) as error:
            raise ValueError(f"a chunk that cannot be unpacked: {error}") from error
    elif compression:
        raise ValueError("a chunk that is compressed in another way")
    if len(data) != size or (crc and crc32(data) != crc):
        raise ValueError("a damaged chunk")
    return data


class Channel(NamedTuple):
    """A topic in a file."""

    topic: str
    type_name: str
    encoding: str
    schema: str = ""
    """Name of its schema, where those were asked for."""


NO_SCHEMAS: Mapping[int, str] = MappingProxyType({})


def channel_of(content: memoryview | bytes, schemas: Mapping[int, str] = NO_SCHEMAS) -> tuple[int, Channel] | None:
    """Number and description of a channel record; None when it is damaged. schemas: their names, by number."""
    try:
        data = bytes(content)
        (number, schema_id), at = struct.unpack_from("<HH", data), 4
        topic, at = _text(data, at)
        encoding, at = _text(data, at)
        metadata = _map(data, at)
    except (struct.error, ValueError):
        return None
    return number, Channel(topic, metadata.get("type", ""), encoding, schemas.get(schema_id, ""))


def schema_of(content: memoryview | bytes) -> tuple[int, str] | None:
    """Number and name of a schema record; None when it is damaged."""
    data = bytes(content)
    try:
        return int.from_bytes(data[:2], "little"), _text(data, 2)[0]
    except (struct.error, ValueError):
        return None


def metadata_of(content: bytes) -> dict[str, str]:
    """What a metadata record says; nothing when it is damaged."""
    try:
        return _map(content, _text(content, 0)[1])
    except (struct.error, ValueError):
        return {}


def _map(data: bytes, at: int) -> dict[str, str]:
    (length,), at = struct.unpack_from("<I", data, at), at + 4
    end, found = min(at + length, len(data)), {}
    while at < end:
        key, at = _text(data, at)
        found[key], at = _text(data, at)
    return found


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise ValueError("a text ends outside")
    return data[at + 4 : end].decode("utf-8", "replace"), end


def messages_between(path: Path, begin_ns: int, end_ns: int, topics: Collection[str]) -> Iterator[RecordedMessage]:
    """The messages of these topics in a span of wall time (`log_ns`), in file order. OSError when the file is gone."""
    channels: dict[int, Channel] = {}
    schemas: dict[int, str] = {}
    for part in parts(path, begin_ns, end_ns):
        records = inside(part.content) if part.opcode == CHUNK else iter([Inner(part.opcode, memoryview(part.content))])
        for opcode, content in records:
            if opcode == SCHEMA and (named := schema_of(content)) is not None:
                schemas[named[0]] = named[1]
            elif opcode == CHANNEL and (found := channel_of(content, schemas)) is not None:
                channels[found[0]] = found[1]
            elif opcode == MESSAGE and len(content) >= _MESSAGE.size:
                number, sequence, log_ns, sent_ns = _MESSAGE.unpack_from(content)
                channel = channels.get(number)
                if channel is not None and channel.topic in topics and begin_ns <= log_ns <= end_ns:
                    data = bytes(content[_MESSAGE.size :])
                    topic, kind, *form = channel
                    yield RecordedMessage(topic, kind, sequence, log_ns, sent_ns, data, *form)
