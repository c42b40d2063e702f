"""The bytes of an MCAP file: what a chunk holds, and the index that ends a file.

Record layouts: MCAP specification version 0, https://mcap.dev/spec. All integers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import msgspec
from zlib_ng.zlib_ng import crc32, crc32_combine

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = 11, 12, 13, 14, 15

RECORD = struct.Struct("<BQ")
"""Before every record: opcode and length of its content."""

_FOOTER = struct.Struct("<QQI")
_TIMES = struct.Struct("<QQ")
_CHUNK = struct.Struct("<QQQII")
_MESSAGE = struct.Struct("<HIQQ")
_STATISTICS = struct.Struct("<QHIIIIQQI")

TAIL_BYTES = RECORD.size + _FOOTER.size + len(MAGIC)


def is_tail(data: bytes) -> bool:
    """True for the last `TAIL_BYTES` of a finished file."""
    return data.startswith(RECORD.pack(FOOTER, _FOOTER.size)) and data.endswith(MAGIC) and len(data) == TAIL_BYTES


def record(opcode: int, content: bytes) -> bytes:
    """One record with its prefix."""
    return RECORD.pack(opcode, len(content)) + content


def records_in(data: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Opcode, offset and content of each record in `data`; ValueError where a length points outside."""
    view = memoryview(data)
    offset = 0
    while offset < len(view):
        if offset + RECORD.size > len(view):
            raise ValueError(f"a record starts at {offset} but the data ends at {len(view)}")
        opcode, length = RECORD.unpack_from(view, offset)
        start = offset + RECORD.size
        if start + length > len(view):
            raise ValueError(f"a record of {length} bytes at {offset} ends outside")
        yield opcode, offset, view[start : start + length]
        offset = start + length


class ChunkInfo(msgspec.Struct, frozen=True):
    """What a whole chunk holds."""

    start_ns: int
    end_ns: int
    uncompressed_size: int
    compression: str
    compressed_size: int
    schemas: dict[int, bytes]
    channels: dict[int, bytes]
    messages: Mapping[int, bytes | bytearray]
    """Per channel, as 64-bit words: log time and offset in the uncompressed chunk of each message."""


def chunk_info_or_none(content: bytes) -> ChunkInfo | None:
    """What the chunk record holds, or None when its size, CRC, compression or framing is wrong."""
    try:
        _, _, size, crc, name_length = _CHUNK.unpack_from(content)
        name_end = _CHUNK.size + name_length
        compression = content[_CHUNK.size : name_end].decode()
        compressed = content[name_end + 8 :]
        if int.from_bytes(content[name_end : name_end + 8], "little") != len(compressed):
            return None
        data = _decompressed(compression, compressed, size)
        if len(data) != size or (crc and crc32(data) != crc):
            return None
        schemas, channels, messages = _contents(data)
    except (ValueError, struct.error):
        return None
    times = [log_ns for pairs in messages.values() for log_ns, _ in _TIMES.iter_unpack(pairs)] or [0]
    return ChunkInfo(min(times), max(times), size, compression, len(compressed), schemas, channels, messages)


def _decompressed(compression: str, data: bytes, size: int) -> bytes:
    if not compression:
        return data
    if compression != "zstd":
        raise ValueError(f'a chunk is compressed with "{compression}"')
    import zstandard

    try:
        return zstandard.decompress(data, size)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _contents(data: bytes) -> tuple[dict[int, bytes], dict[int, bytes], dict[int, bytearray]]:
    schemas: dict[int, bytes] = {}
    channels: dict[int, bytes] = {}
    messages: dict[int, bytearray] = {}
    for opcode, offset, content in records_in(data):
        if opcode == MESSAGE:
            channel_id, _, log_ns, _ = _MESSAGE.unpack_from(content)
            messages.setdefault(channel_id, bytearray()).extend(_TIMES.pack(log_ns, offset))
        elif opcode == SCHEMA:
            schemas[int.from_bytes(content[:2], "little")] = bytes(content)
        elif opcode == CHANNEL:
            channels[int.from_bytes(content[:2], "little")] = bytes(content)
    return schemas, channels, messages


class FileBuilder:
    """Makes the bytes of a finished file, part by part; the caller writes them in order."""

    def __init__(self) -> None:
        self.messages = 0
        self.chunks = 0
        self._offset = 0
        self._crc = 0
        self._schemas: dict[int, bytes] = {}
        self._channels: dict[int, bytes] = {}
        self._counts: dict[int, int] = {}
        self._chunk_indexes: list[bytes] = []
        self._metadata_indexes: list[bytes] = []
        self._first_ns, self._last_ns = 0, 0

    def begin(self, profile: str, library: str) -> bytes:
        """Magic and header."""
        return self._data(MAGIC + record(HEADER, text(profile) + text(library)))

    def metadata(self, content: bytes) -> bytes:
        """A metadata record, copied. Empty when its strings do not fill it exactly."""
        if not _is_metadata(content):
            return b""
        data = record(METADATA, content)
        name_length = int.from_bytes(content[:4], "little")
        self._metadata_indexes.append(struct.pack("<QQ", self._offset, len(data)) + content[: 4 + name_length])
        return self._data(data)

    def chunk(self, content: bytes, info: ChunkInfo) -> bytes:
        """A chunk record, copied, with new message indexes. Empty when a channel of it was never announced."""
        if not set(info.messages) <= {*self._channels, *info.channels}:
            return b""
        chunk_record = record(
            CHUNK, _TIMES.pack(info.start_ns, info.end_ns) + content[_TIMES.size :]
        )  # no CRC covers them
        head = chunk_record[: len(chunk_record) - info.compressed_size]
        return chunk_record + self.add_chunk(info, head, crc32(chunk_record[len(head) :]))

    def add_chunk(self, info: ChunkInfo, head: bytes, data_crc: int) -> bytes:
        """Take note of a chunk record that the caller writes now; returns the message indexes that follow it.

        head: of the record, up to its data. data_crc: CRC-32 of that data.
        """
        self._schemas.update(info.schemas)
        self._channels.update(info.channels)
        chunk_start, size = self._offset, len(head) + info.compressed_size
        offsets, indexes = b"", b""
        for channel_id, pairs in info.messages.items():
            offsets += struct.pack("<HQ", channel_id, chunk_start + size + len(indexes))
            indexes += record(MESSAGE_INDEX, struct.pack("<HI", channel_id, len(pairs)) + pairs)
            self._counts[channel_id] = self._counts.get(channel_id, 0) + len(pairs) // _TIMES.size
        self._count(info)
        self._chunk_indexes.append(
            struct.pack("<QQQQI", info.start_ns, info.end_ns, chunk_start, size, len(offsets))
            + offsets
            + struct.pack("<Q", len(indexes))
            + text(info.compression)
            + struct.pack("<QQ", info.compressed_size, info.uncompressed_size)
        )
        self._data(head)
        self._crc = crc32_combine(self._crc, data_crc, info.compressed_size)
        self._offset += info.compressed_size
        return self._data(indexes)

    def _count(self, info: ChunkInfo) -> None:
        count = sum(len(pairs) for pairs in info.messages.values()) // _TIMES.size
        if count:
            self._first_ns = min(self._first_ns, info.start_ns) if self.messages else info.start_ns
            self._last_ns = max(self._last_ns, info.end_ns)
        self.messages += count
        self.chunks += 1

    def _data(self, data: bytes) -> bytes:
        self._crc = crc32(data, self._crc)
        self._offset += len(data)
        return data

    def end(self) -> bytes:
        """End of data, summary, footer, magic."""
        data_end = record(DATA_END, struct.pack("<I", self._crc))
        summary_start = self._offset + len(data_end)
        summary, offsets = b"", b""
        for opcode, contents in self._summary_groups():
            group = b"".join(record(opcode, content) for content in contents)
            place = struct.pack("<BQQ", opcode, summary_start + len(summary), len(group))
            offsets += record(SUMMARY_OFFSET, place) if group else b""
            summary += group
        head = RECORD.pack(FOOTER, _FOOTER.size) + struct.pack("<QQ", summary_start, summary_start + len(summary))
        crc = crc32(head, crc32(summary + offsets))
        return data_end + summary + offsets + head + struct.pack("<I", crc) + MAGIC

    def _summary_groups(self) -> list[tuple[int, list[bytes]]]:
        return [
            (SCHEMA, list(self._schemas.values())),
            (CHANNEL, list(self._channels.values())),
            (STATISTICS, [self._statistics()]),
            (CHUNK_INDEX, self._chunk_indexes),
            (METADATA_INDEX, self._metadata_indexes),
        ]

    def _statistics(self) -> bytes:
        counts = b"".join(struct.pack("<HQ", channel_id, count) for channel_id, count in self._counts.items())
        numbers = (self.messages, len(self._schemas), len(self._channels), 0, len(self._metadata_indexes), self.chunks)
        return _STATISTICS.pack(*numbers, self._first_ns, self._last_ns, len(counts)) + counts


def _is_metadata(content: bytes) -> bool:
    try:
        position = _end_of_text(content, 0)
        position, end = position + 4, position + 4 + int.from_bytes(content[position : position + 4], "little")
        while position < end:
            position = _end_of_text(content, _end_of_text(content, position))
    except ValueError:
        return False
    return position == end == len(content)


def _end_of_text(content: bytes, position: int) -> int:
    """Where the string at `position` ends; ValueError when that is outside, or when it is no text."""
    start = position + 4
    end = start + int.from_bytes(content[position:start], "little")
    if end > len(content):
        raise ValueError(f"a string at {position} ends outside")
    content[start:end].decode()
    return end


def text(words: str) -> bytes:
    """A string as records hold it."""
    encoded = words.encode()
    return struct.pack("<I", len(encoded)) + encoded
