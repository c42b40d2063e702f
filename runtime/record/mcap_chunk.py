"""One chunk of an MCAP file: messages are added, then it is closed into the bytes that any file takes.

A chunk is made once and may be written to several files (the run's, a clip's). What its channels are is no part of it:
each file announces those that it has not yet announced, in the first chunk that uses them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from zlib_ng.zlib_ng import crc32

from cardan.runtime.errors import ConfigError
from cardan.runtime.record.mcap_layout import CHUNK, MESSAGE, RECORD, ChunkInfo

Buffer = bytes | memoryview

NEVER_NS = 1 << 63

COMPRESSION_LEVEL = 1
"""Of zstd: telemetry becomes as small as at 3 (measured: 1/18), in half the time."""

_MESSAGE_HEAD = struct.Struct("<BQHIQQ")
_MESSAGE_FIELDS = _MESSAGE_HEAD.size - RECORD.size
_CHUNK_HEAD = struct.Struct("<BQQQQII")


class Chunk(msgspec.Struct, frozen=True):
    """A closed chunk: a record of `head` and `data`, and what stands in it."""

    info: ChunkInfo
    head: bytes
    data: tuple[Buffer, ...]
    crc: int
    """CRC-32 of `data`, as it lies in the file."""
    publish_ns: tuple[int, int]
    """First and last monotonic time of sending."""

    @property
    def size(self) -> int:
        """Of the record."""
        return len(self.head) + self.info.compressed_size

    @property
    def messages(self) -> int:
        return sum(len(pairs) for pairs in self.info.messages.values()) // 16


class ChunkBuilder:
    """Collects messages. Data is kept as it is given, without a copy, until the chunk is closed."""

    def __init__(self) -> None:
        self._parts: list[Buffer] = []
        self._index: dict[int, list[int]] = {}
        self.size = 0
        """Bytes before compression."""
        self.oldest_ns, self.newest_ns = NEVER_NS, 0
        """Monotonic time of sending, first and last."""

    @property
    def messages(self) -> int:
        return sum(map(len, self._index.values())) // 2

    def add(self, channel_id: int, sequence: int, log_ns: int, publish_ns: int, data: bytes) -> None:
        """One message. log_ns: its wall time label. publish_ns: monotonic time of sending."""
        length = len(data)
        head = _MESSAGE_HEAD.pack(
            MESSAGE, _MESSAGE_FIELDS + length, channel_id, sequence & 0xFFFFFFFF, log_ns, publish_ns
        )
        try:
            self._index[channel_id] += (log_ns, self.size)
        except KeyError:
            self._index[channel_id] = [log_ns, self.size]
        self._parts += (head, data)
        self.size += _MESSAGE_HEAD.size + length
        if publish_ns < self.oldest_ns:
            self.oldest_ns = publish_ns
        if publish_ns > self.newest_ns:
            self.newest_ns = publish_ns

    def add_parts(self, channel_id: int, sequence: int, log_ns: int, publish_ns: int, parts: Sequence[Buffer]) -> None:
        """One message whose data comes in parts."""
        length = sum(map(len, parts))
        head = _MESSAGE_HEAD.pack(
            MESSAGE, _MESSAGE_FIELDS + length, channel_id, sequence & 0xFFFFFFFF, log_ns, publish_ns
        )
        self._index.setdefault(channel_id, []).extend((log_ns, self.size))
        self._parts += (head, *parts)
        self.size += _MESSAGE_HEAD.size + length
        self.oldest_ns = min(self.oldest_ns, publish_ns)
        self.newest_ns = max(self.newest_ns, publish_ns)

    def close(self, *, compress: bool) -> Chunk:
        """The chunk. compress: False where that would be in vain (pictures), and the data is not even copied then."""
        index = {channel: struct.pack(f"<{len(pairs)}Q", *pairs) for channel, pairs in self._index.items()}
        stamps = [log_ns for pairs in self._index.values() for log_ns in pairs[::2]] or [0]
        times = min(stamps), max(stamps)
        published = self.oldest_ns, self.newest_ns
        if compress:
            return compressed(b"".join(self._parts), times, published, index)
        return _stored(self._parts, self.size, times, published, index)


def announcing(chunk: Chunk, channels: Mapping[int, tuple[bytes, bytes]], records: bytes) -> Chunk:
    """`chunk` with the records of schemas and channels before its messages.

    channels: channel id -> content of its schema and of its own record, which `records` holds.
    """
    info = chunk.info
    shifted = {channel: _shifted(pairs, len(records)) for channel, pairs in info.messages.items()}
    times = info.start_ns, info.end_ns
    if info.compression:
        plain = zstd().ZstdDecompressor().decompress(chunk.data[0], info.uncompressed_size)
        made = compressed(records + plain, times, chunk.publish_ns, shifted)
    else:
        parts = [records, *chunk.data]
        made = _stored(parts, len(records) + info.uncompressed_size, times, chunk.publish_ns, shifted)
    schemas = {int.from_bytes(schema[:2], "little"): schema for schema, _ in channels.values()}
    own = {channel: content for channel, (_, content) in channels.items()}
    return msgspec.structs.replace(made, info=msgspec.structs.replace(made.info, schemas=schemas, channels=own))


def _shifted(pairs: bytes | bytearray, by: int) -> bytes:
    numbers = struct.unpack(f"<{len(pairs) // 8}Q", pairs)
    return struct.pack(f"<{len(numbers)}Q", *(n + by if at % 2 else n for at, n in enumerate(numbers)))


def compressed(plain: bytes, times: tuple[int, int], published: tuple[int, int], index: dict[int, bytes]) -> Chunk:
    """A closed chunk of these records. times: of its messages' labels. published: first and last time of sending."""
    packed: bytes = zstd().ZstdCompressor(level=COMPRESSION_LEVEL).compress(plain)
    info = ChunkInfo(*times, len(plain), "zstd", len(packed), {}, {}, index)
    return Chunk(info, _head(info, crc32(plain)), (packed,), crc32(packed), published)


def _stored(
    parts: Sequence[Buffer], size: int, times: tuple[int, int], published: tuple[int, int], index: dict[int, bytes]
) -> Chunk:
    crc = 0
    for part in parts:
        crc = crc32(part, crc)
    info = ChunkInfo(*times, size, "", size, {}, {}, index)
    return Chunk(info, _head(info, crc), tuple(parts), crc, published)


def _head(info: ChunkInfo, crc: int) -> bytes:
    name = info.compression.encode()
    length = _CHUNK_HEAD.size - RECORD.size + len(name) + 8 + info.compressed_size
    head = _CHUNK_HEAD.pack(CHUNK, length, info.start_ns, info.end_ns, info.uncompressed_size, crc, len(name))
    return head + name + struct.pack("<Q", info.compressed_size)


def zstd() -> Any:
    """The package `zstandard`; ConfigError names the extra that brings it."""
    try:
        import zstandard
    except ImportError as error:
        raise ConfigError(
            f"recordings cannot be used: the package {error.name} is not installed", hint="pip install 'cardan[record]'"
        ) from error
    return zstandard
