"""Recordings in the forms of other tools: candump lines, CSV, Parquet, and a smaller MCAP file.

In a table each message is a row: `sent_ns` (monotonic), `wall_ns`, the envelope, then every field. The fields of a
struct inside a message have names like `a.b`, the elements of a list of numbers or words `a.0`; any other list is JSON.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cardan.runtime.can_line import can_line, can_payload
from cardan.runtime.errors import ConfigError, RunError
from cardan.runtime.messages import CanFrames, type_name
from cardan.runtime.record.json_form import ENVELOPE_FIELD
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages, read_metadata, schemas_of
from cardan.runtime.record.mcap_writer import McapWriter
from cardan.runtime.record.read_back import ReadBack, fields_of

CAN_TYPE = type_name(CanFrames)
ROWS = 10_000
"""Rows of a Parquet row group."""
FIXED = ("sent_ns", "wall_ns", "sequence", "valid", "origin_ns", "epoch")


def messages_of(paths: Sequence[Path], topics: Collection[str] = ()) -> Iterator[RecordedMessage]:
    """Every message of the files, in order, of these topics (of all if none is named)."""
    for path in paths:
        for message in read_messages(path):
            if not topics or message.topic in topics:
                yield message


def to_candump(messages: Iterable[RecordedMessage], path: Path) -> int:
    """Write every CAN frame as a line of `candump -l`, with wall time; the number of frames."""
    count, reader = 0, ReadBack(CanFrames)
    with path.open("x") as file:
        for message in messages:
            if message.type_name != CAN_TYPE:
                continue
            offset_ns = message.log_ns - message.sent_ns
            for frame in reader.read(message).value.frames:
                stamp_us = max(0, frame.stamp_ns + offset_ns) // 1000
                file.write(can_line(frame, stamp_us * 1000, can_payload(frame)) + "\n")
                count += 1
    return count


def row_of(message: RecordedMessage) -> dict[str, Any]:
    """One message as a flat row; RunError when it is damaged. A picture is left out, its other fields are not."""
    try:
        fields = fields_of(message)
    except ValueError as error:
        raise RunError(f"message {message.sequence} of {message.topic} cannot be read: {error}") from error
    if message.encoding != "json":
        for name in ("image", "h264"):
            fields.pop(name, None)
    envelope = fields.pop(ENVELOPE_FIELD, {})
    if fields.get("format") == "jpeg" and "message" in fields:
        fields = fields["message"]
    row = {"sent_ns": message.sent_ns, "wall_ns": message.log_ns, "sequence": message.sequence}
    row |= {name: envelope.get(name) for name in ("valid", "origin_ns", "epoch")}
    return row | dict(_flat(fields, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and all(isinstance(item, (int, float, bool, str)) for item in value):
        for place, item in enumerate(value):
            yield f"{path}.{place}", item
    elif isinstance(value, list):
        yield path, json.dumps(value)
    else:
        yield path, value


def to_csv(messages: Sequence[RecordedMessage], path: Path) -> int:
    """Write the messages of one topic as CSV with a header; the number of rows."""
    rows = [row_of(message) for message in messages]
    with path.open("x", newline="") as file:
        writer = csv.DictWriter(file, _columns(rows), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def to_parquet(messages: Sequence[RecordedMessage], path: Path) -> int:
    """Write the messages of one topic as Parquet (zstd, page checksums); the number of rows."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError(
            "Parquet cannot be written: pyarrow is not installed", hint="pip install 'cardan[parquet]'"
        ) from error
    rows = [row_of(message) for message in messages]
    if path.exists():
        raise FileExistsError(17, "File exists", str(path))
    columns = _columns(rows)
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True, row_group_size=ROWS)
    return len(rows)


def _columns(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Every column that a row has, the envelope's first, in the order in which they are met."""
    return list(dict.fromkeys([*FIXED, *(name for row in rows for name in row)]))


def to_mcap(paths: Sequence[Path], topics: Collection[str], path: Path) -> int:
    """Write the messages of these topics (of all if none is named) to a new MCAP file; their number."""
    if path.exists():
        raise FileExistsError(17, "File exists", str(path))
    metadata = read_metadata(paths[0])
    forms = {key: form for source in paths for key, form in schemas_of(source).items()}
    try:
        offset_ns = int(metadata["wall_minus_monotonic_ns"])
    except (KeyError, ValueError) as error:
        raise RunError(f"{paths[0]} does not say when it was recorded", hint="is it a recording of cardan?") from error
    writer = McapWriter(path, metadata, wall_offset_ns=offset_ns)
    channels: dict[tuple[str, str], int] = {}
    count = 0
    for message in messages_of(paths, topics):
        key = message.topic, message.schema
        if key not in channels:
            schema, encoding = forms[key]
            kind = {"type": message.type_name}
            channels[key] = writer.add_channel(message.topic, message.schema, schema, kind, encoding)
        writer.write(channels[key], sent_ns=message.sent_ns, sequence=message.sequence, data=message.data)
        count += 1
    writer.finish()
    return count
