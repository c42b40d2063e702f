"""Read MCAP files, through the `mcap` package: the one module that imports it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.errors import ConfigError
from cardan.runtime.record.mcap_writer import METADATA_NAME


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
    """JSON, or what `encoding` says."""
    encoding: str = "json"
    """protobuf: a raw picture, or one of a video."""
    schema: str = ""
    """Name of its schema."""


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
        except MemoryError:  # a damaged length: so much cannot even be asked of the file
            return


def read_messages(path: Path) -> Iterator[RecordedMessage]:
    """Every message in file order. An unfinished or damaged file is read up to its damage."""
    records = _mcap("records")
    channels: dict[int, Any] = {}
    schemas: dict[int, str] = {}
    for record in _records(path):
        if isinstance(record, records.Schema):
            schemas[record.id] = record.name
        elif isinstance(record, records.Channel):
            channels[record.id] = record
        elif isinstance(record, records.Message):
            channel = channels.get(record.channel_id)
            if channel is None:
                return
            yield _recorded(channel, record, schemas.get(channel.schema_id, ""))


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


def schemas_of(path: Path) -> dict[tuple[str, str], tuple[bytes, str]]:
    """Topic and name of a schema of its messages -> text of the schema, and how they are encoded."""
    records = _mcap("records")
    schemas: dict[int, tuple[str, bytes]] = {}
    found: dict[tuple[str, str], tuple[bytes, str]] = {}
    for record in _records(path):
        if isinstance(record, records.Schema):
            schemas[record.id] = record.name, record.data
        elif isinstance(record, records.Channel) and record.schema_id in schemas:
            name, text = schemas[record.schema_id]
            found[record.topic, name] = text, record.message_encoding
    return found


def _recorded(channel: Any, record: Any, schema: str) -> RecordedMessage:
    return RecordedMessage(
        channel.topic,
        channel.metadata.get("type", ""),
        record.sequence,
        record.log_time,
        record.publish_time,
        record.data,
        channel.message_encoding,
        schema,
    )


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
