"""MCAP files through the `mcap` package: the one module that imports it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.errors import ConfigError

METADATA_NAME = "cardan"
"""Name of the metadata record that says which run a file belongs to."""

OFFSET_KEY = "wall_minus_monotonic_ns"
"""Metadata key: add it to a monotonic stamp to get the wall time that this file shows."""

CHUNK_BYTES = 1 << 20
"""A chunk is closed at this size, even before its time."""


class RecordedMessage(msgspec.Struct, frozen=True):
    """One message as it is in a file."""

    topic: str
    type_name: str
    """`module:Class`, as its publisher declared it."""
    sequence: int
    """Of the publisher, modulo 2**32."""
    log_ns: int
    """Wall time label of sending."""
    sent_ns: int
    """Monotonic time of sending."""
    data: bytes
    """JSON."""


class McapWriter:
    """Writes one MCAP file: zstd chunks with CRC. Not for two threads.

    Every `OSError` of the disk passes through; the writer is then of no more use, and `abandon()` closes the file.
    The file is locked (flock) while it is open, so that nobody repairs or deletes a file that is being written.
    """

    def __init__(self, path: Path, metadata: dict[str, str], *, wall_offset_ns: int) -> None:
        writer = _mcap("writer")
        self.path = path
        self._file = _AppendFile(path)
        self._offset_ns = wall_offset_ns
        try:
            self._writer = writer.Writer(self._file, chunk_size=CHUNK_BYTES, enable_data_crcs=True)
            self._writer.start(profile="cardan", library="cardan")
            self._writer.add_metadata(METADATA_NAME, {**metadata, OFFSET_KEY: str(wall_offset_ns)})
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    @property
    def bytes_written(self) -> int:
        """Size of the file, without the open chunk."""
        return self._file.tell()

    def add_channel(self, topic: str, schema_name: str, schema: bytes, metadata: dict[str, str]) -> int:
        """Announce a topic; returns its channel id."""
        schema_id = self._writer.register_schema(schema_name, "jsonschema", schema)
        channel_id: int = self._writer.register_channel(topic, "json", schema_id, metadata)
        return channel_id

    def write(self, channel_id: int, *, sent_ns: int, sequence: int, data: bytes) -> None:
        """Add one message (JSON) to the open chunk."""
        log_ns = max(0, sent_ns + self._offset_ns)
        self._writer.add_message(channel_id, log_ns, data, sent_ns, sequence & 0xFFFFFFFF)

    def end_chunk(self) -> None:
        """Close the open chunk: what was written so far survives SIGKILL."""
        self._writer.flush()

    def sync(self) -> None:
        """Bring closed chunks to the disk: they survive a power cut. Blocks for as long as the disk takes."""
        self._file.sync()

    def finish(self) -> None:
        """Write index and footer, sync, close."""
        try:
            self._writer.finish()
            self._file.sync()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close the file as it is; `repair` makes it readable."""
        self._file.close()


class _AppendFile:
    """The few file methods that the writer needs, on a descriptor: complete writes, no hidden buffer."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._position = 0
        lock_or_none(self._descriptor)

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            written = os.write(self._descriptor, view)
            self._position += written
            view = view[written:]
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing is held back, so there is nothing to do."""

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_or_none(descriptor: int) -> int | None:
    """`descriptor` with an exclusive lock on its file, or None while somebody else holds one. Does not block."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return descriptor


@contextmanager
def unlocked_or_none(path: Path) -> Iterator[int | None]:
    """A read descriptor of `path` with its lock held, or None while somebody writes the file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield lock_or_none(descriptor)
    finally:
        os.close(descriptor)


def _records(path: Path) -> Iterator[Any]:
    """Every record of a file in order, up to its end or its damage; nothing of a file that is no MCAP."""
    reader, exceptions = _mcap("stream_reader"), _mcap("exceptions")
    with path.open("rb") as file:
        stream = reader.StreamReader(file, validate_crcs=True, record_size_limit=path.stat().st_size)
        try:
            yield from stream.records
        except (exceptions.McapError, ValueError, KeyError, OverflowError, _struct_error(), _zstd_error()):
            return


def read_messages(path: Path) -> Iterator[RecordedMessage]:
    """Every message in file order. An unfinished or damaged file is read up to its damage."""
    records = _mcap("records")
    channels: dict[int, Any] = {}
    for record in _records(path):
        if isinstance(record, records.Channel):
            channels[record.id] = record
        elif isinstance(record, records.Message):
            channel = channels.get(record.channel_id)
            if channel is None:
                return
            yield _recorded(channel, record)


def counts_by_topic(*paths: Path) -> dict[str, int]:
    """How many messages of each topic the files hold together, counted one by one."""
    counts: Counter[str] = Counter()
    for path in paths:
        counts.update(message.topic for message in read_messages(path))
    return dict(counts)


def read_metadata(path: Path) -> dict[str, str]:
    """What the file says about its run: run id, manifest, version, clock offset; nothing if it is no MCAP file."""
    metadata = _mcap("records").Metadata
    found = (record for record in _records(path) if isinstance(record, metadata) and record.name == METADATA_NAME)
    return next((dict(record.metadata) for record in found), {})


def schemas_of(path: Path) -> dict[str, tuple[str, bytes]]:
    """Topic -> name and text of the schema of its messages. A damaged file is read up to its damage."""
    records = _mcap("records")
    schemas: dict[int, tuple[str, bytes]] = {}
    found: dict[str, tuple[str, bytes]] = {}
    for record in _records(path):
        if isinstance(record, records.Schema):
            schemas[record.id] = record.name, record.data
        elif isinstance(record, records.Channel) and record.schema_id in schemas:
            found[record.topic] = schemas[record.schema_id]
    return found


def _recorded(channel: Any, record: Any) -> RecordedMessage:
    type_name = channel.metadata.get("type", "")
    return RecordedMessage(channel.topic, type_name, record.sequence, record.log_time, record.publish_time, record.data)


def _struct_error() -> type[Exception]:
    import struct

    return struct.error


def _zstd_error() -> type[Exception]:
    import zstandard

    error: type[Exception] = zstandard.ZstdError
    return error


def _mcap(module: str) -> Any:
    """`mcap.<module>`, imported on first use: `Any`, since the package's own annotations have gaps."""
    from importlib import import_module

    try:
        import_module("zstandard")
        return import_module(f"mcap.{module}")
    except ImportError as error:
        message = f"recordings cannot be used: the package {error.name} is not installed"
        raise ConfigError(message, hint="pip install 'cardan[record]'") from error
