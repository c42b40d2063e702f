"""A span of a recording: chunks outside of it are passed over unread, so that an hour costs little more than a minute.

Record layouts: MCAP specification version 0, https://mcap.dev/spec. Damaged files are read as far as they go.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from cardan.runtime.record.mcap_file import RecordedMessage

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK = 3, 4, 5, 6
_RECORD = struct.Struct("<BQ")
_CHUNK = struct.Struct("<QQQII")
_MESSAGE = struct.Struct("<HIQQ")
LARGEST_CHUNK = 256 << 20
FIRST = 100
"""Chunks in which a channel is looked for that is not known yet: some 25 s."""
FORWARD = frozenset(range(1, 6)) | {12}
"""Records outside of chunks that say what a file is: header, schemas, channels, messages, metadata."""


class Part(NamedTuple):
    """One record of the top level."""

    opcode: int
    content: bytes


class Inner(NamedTuple):
    """One record inside of a chunk."""

    opcode: int
    content: memoryview


def parts(path: Path, begin_ns: int, end_ns: int, is_known: Callable[[], bool] = lambda: True) -> Iterator[Part]:
    """The records of a file without the chunks that lie outside of a span of wall time; ends at damage.

    is_known: whether all channels are known that matter; until then the first chunks come in any case, because a
    channel is announced in the chunk that has its first message.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, at, chunks = os.fstat(descriptor).st_size, len(MAGIC), 0
        if os.pread(descriptor, len(MAGIC), 0) != MAGIC:
            return
        while len(head := os.pread(descriptor, _RECORD.size + 16, at)) >= _RECORD.size:
            opcode, length = _RECORD.unpack_from(head)
            begin, at = at + _RECORD.size, at + _RECORD.size + length
            if at > size or length > LARGEST_CHUNK:
                return
            if opcode == CHUNK:
                chunks += 1
                wanted = _overlaps(head[_RECORD.size :], begin_ns, end_ns) or (chunks <= FIRST and not is_known())
            else:
                wanted = opcode in FORWARD
            if wanted:
                yield Part(opcode, os.pread(descriptor, length, begin))
    finally:
        os.close(descriptor)


def _overlaps(times: bytes, begin_ns: int, end_ns: int) -> bool:
    if len(times) < 16:
        return False
    first_ns, last_ns = struct.unpack("<QQ", times)
    return bool(first_ns <= end_ns and last_ns >= begin_ns)


def inside(chunk: bytes) -> Iterator[Inner]:
    """The records of a chunk, up to its damage."""
    try:
        data = _plain(chunk)
    except (struct.error, ValueError):
        return
    view, at = memoryview(data), 0
    while at + _RECORD.size <= len(view):
        opcode, length = _RECORD.unpack_from(view, at)
        begin, at = at + _RECORD.size, at + _RECORD.size + length
        if at > len(view):
            return
        yield Inner(opcode, view[begin:at])


def _plain(chunk: bytes) -> bytes:
    """What a chunk holds; ValueError when that is not what it says."""
    _, _, size, crc, name_length = _CHUNK.unpack_from(chunk)
    name_end = _CHUNK.size + name_length
    compression, data = chunk[_CHUNK.size : name_end], chunk[name_end + 8 :]
    if size > LARGEST_CHUNK:
        raise ValueError(f"a chunk of {size} bytes")
    if compression == b"zstd":
        import zstandard

        try:
            data = zstandard.decompress(data, size)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
    elif compression:
        raise ValueError("a chunk that is compressed in another way")
    if len(data) != size or (crc and zlib.crc32(data) != crc):
        raise ValueError("a damaged chunk")
    return data


class Channel(NamedTuple):
    """A topic in a file."""

    topic: str
    type_name: str
    encoding: str


def channel_of(content: memoryview | bytes) -> tuple[int, Channel] | None:
    """Number and description of a channel record; None when it is damaged."""
    try:
        data = bytes(content)
        (number, _), at = struct.unpack_from("<HH", data), 4
        topic, at = _text(data, at)
        encoding, at = _text(data, at)
        (length,), at = struct.unpack_from("<I", data, at), at + 4
        end, metadata = min(at + length, len(data)), {}
        while at < end:
            key, at = _text(data, at)
            metadata[key], at = _text(data, at)
    except (struct.error, ValueError):
        return None
    return number, Channel(topic, metadata.get("type", ""), encoding)


def _text(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise ValueError("a text ends outside")
    return data[at + 4 : end].decode("utf-8", "replace"), end


def messages_between(path: Path, begin_ns: int, end_ns: int, topics: Collection[str]) -> Iterator[RecordedMessage]:
    """The messages of these topics in a span of wall time (`log_ns`), in file order. OSError when the file is gone."""
    channels: dict[int, Channel] = {}
    wanted = set(topics)

    def is_known() -> bool:
        return wanted <= {channel.topic for channel in channels.values()}

    for part in parts(path, begin_ns, end_ns, is_known):
        records = inside(part.content) if part.opcode == CHUNK else iter([Inner(part.opcode, memoryview(part.content))])
        for opcode, content in records:
            if opcode == CHANNEL and (found := channel_of(content)) is not None:
                channels[found[0]] = found[1]
            elif opcode == MESSAGE and len(content) >= _MESSAGE.size:
                number, sequence, log_ns, sent_ns = _MESSAGE.unpack_from(content)
                channel = channels.get(number)
                if channel is not None and channel.topic in topics and begin_ns <= log_ns <= end_ns:
                    data = bytes(content[_MESSAGE.size :])
                    yield RecordedMessage(channel.topic, channel.type_name, sequence, log_ns, sent_ns, data)
