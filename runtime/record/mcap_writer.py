"""Write MCAP files: chunks with CRC, an index at the end, complete writes without a hidden buffer.

Layouts: MCAP specification version 0, https://mcap.dev/spec. Every `OSError` of the disk passes through; a file is then
of no more use, and `abandon()` closes it: `repair` makes it readable.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import msgspec

from cardan.runtime.disk import give_name, sync_folder
from cardan.runtime.record.mcap_chunk import Buffer, Chunk, ChunkBuilder, announcing, zstd
from cardan.runtime.record.mcap_layout import CHANNEL, SCHEMA, FileBuilder, record, text

METADATA_NAME = "cardan"
"""Name of the metadata record that says which run a file belongs to."""

OFFSET_KEY = "wall_minus_monotonic_ns"
"""Metadata key: add it to a monotonic stamp to get the wall time that this file shows."""

CHUNK_BYTES = 1 << 20
"""A chunk is closed at this size, even before its time."""

PARTS_AT_ONCE = 512
"""Buffers of one write; Linux takes 1024."""


class ChannelRecords(msgspec.Struct, frozen=True):
    """A channel as a file announces it."""

    schema: bytes
    """Content of the schema record."""
    channel: bytes
    """Content of the channel record."""


def channel_records(
    number: int, topic: str, schema_name: str, schema: bytes, metadata: dict[str, str], encoding: str = "json"
) -> ChannelRecords:
    """The records of channel `number` (from 1), with a schema of its own."""
    schema_encoding = {"json": "jsonschema"}.get(encoding, encoding)
    return ChannelRecords(
        struct.pack("<H", number) + text(schema_name) + text(schema_encoding) + struct.pack("<I", len(schema)) + schema,
        struct.pack("<HH", number, number) + text(topic) + text(encoding) + _map(metadata),
    )


def _map(entries: dict[str, str]) -> bytes:
    content = b"".join(text(key) + text(value) for key, value in entries.items())
    return struct.pack("<I", len(content)) + content


class ChunkFile:
    """A file that takes chunks. Not for two threads.

    channels: every channel that a chunk may use, by number; it may grow meanwhile. The file is locked (flock) while it
    is open, so that nobody repairs or deletes a file that is being written.
    """

    def __init__(self, path: Path, metadata: dict[str, str], channels: Mapping[int, ChannelRecords]) -> None:
        zstd()
        self.path = path
        self._channels = channels
        self._announced: set[int] = set()
        self._builder = FileBuilder()
        self._file = AppendFile(path)
        try:
            self._file.write(self._builder.begin("cardan", "cardan"))
            self._file.write(self._builder.metadata(text(METADATA_NAME) + _map(metadata)))
            sync_folder(path.parent)
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    @property
    def bytes_written(self) -> int:
        return self._file.position

    @property
    def messages(self) -> int:
        """Messages in the chunks that were written."""
        return self._builder.messages

    def write(self, chunk: Chunk) -> None:
        """Add one chunk: what it holds survives SIGKILL from now on."""
        new = {number: self._channels[number] for number in chunk.info.messages if number not in self._announced}
        if new:
            records = b"".join(record(SCHEMA, item.schema) + record(CHANNEL, item.channel) for item in new.values())
            pairs = {number: (item.schema, item.channel) for number, item in new.items()}
            chunk = announcing(chunk, pairs, records)
        indexes = self._builder.add_chunk(chunk.info, chunk.head, chunk.crc)
        self._file.write(chunk.head, *chunk.data, indexes)
        self._announced |= set(new)

    def sync(self) -> None:
        """Bring what was written to the disk: it survives a power cut. Blocks for as long as the disk takes."""
        self._file.sync()

    def finish(self) -> None:
        """Write index and footer, sync, close."""
        try:
            self._file.write(self._builder.end())
            self._file.sync()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is; `repair` makes it readable."""
        self._file.close()


class McapWriter:
    """Writes messages to one file, and closes a chunk when it is full or when it is told to. Not for two threads."""

    def __init__(self, path: Path, metadata: dict[str, str], *, wall_offset_ns: int) -> None:
        self.path = path
        self._offset_ns = wall_offset_ns
        self._channels: dict[int, ChannelRecords] = {}
        self._chunk = ChunkBuilder()
        self._file = ChunkFile(path, {**metadata, OFFSET_KEY: str(wall_offset_ns)}, self._channels)

    @property
    def bytes_written(self) -> int:
        """Size of the file, without the open chunk."""
        return self._file.bytes_written

    def add_channel(
        self, topic: str, schema_name: str, schema: bytes, metadata: dict[str, str], encoding: str = "json"
    ) -> int:
        """Announce a topic; returns its channel id."""
        number = len(self._channels) + 1
        self._channels[number] = channel_records(number, topic, schema_name, schema, metadata, encoding)
        return number

    def write(self, channel_id: int, *, sent_ns: int, sequence: int, data: bytes) -> None:
        """Add one message to the open chunk."""
        self._chunk.add(channel_id, sequence, max(0, sent_ns + self._offset_ns), sent_ns, data)
        if self._chunk.size >= CHUNK_BYTES:
            self.end_chunk()

    def end_chunk(self) -> None:
        """Close the open chunk: what was written so far survives SIGKILL."""
        if self._chunk.messages:
            chunk, self._chunk = self._chunk, ChunkBuilder()
            self._file.write(chunk.close(compress=True))

    def sync(self) -> None:
        """Bring closed chunks to the disk: they survive a power cut. Blocks for as long as the disk takes."""
        self._file.sync()

    def finish(self) -> None:
        """Write what is left, index and footer, sync, close."""
        try:
            self.end_chunk()
        except OSError:
            self._file.abandon()
            raise
        self._file.finish()

    def abandon(self) -> None:
        """Close the file as it is; `repair` makes it readable."""
        self._file.abandon()


class AppendFile:
    """A new file that only grows: complete writes, no hidden buffer, locked while it is open.

    It gets its name when it is locked: who looks whether a file is being written holds its lock for a moment, and must
    not come first. FileExistsError when the name is taken.
    """

    def __init__(self, path: Path) -> None:
        hidden = path.with_name(f".{path.name}.new")
        hidden.unlink(missing_ok=True)
        self._descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self.position = 0
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not give_name(hidden, path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        except OSError:
            self.close()
            hidden.unlink(missing_ok=True)
            raise

    def write(self, *parts: Buffer) -> None:
        """Write all of them, one behind the other; a disk may take less than it is given, so this goes on."""
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            written = os.writev(self._descriptor, left[:PARTS_AT_ONCE])
            self.position += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
