"""Signals as columns in msgpack and zstd: as small as Parquet, where pyarrow (170 MB) is not wanted on a vehicle.

`read_columns` reads an object again; docs/uplink.md turns a folder of them into Parquet with ten lines.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader
from cardan.runtime.uplink.signals import Head, SignalNames, table_of

VERSION = 1
COMPRESSION_LEVEL = 9


class _Series(msgspec.Struct, frozen=True, array_like=True):
    name: str
    topic: str
    rows: list[int]
    """First record, then how many further each next one is."""
    values: list[Any]


class _Object(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    vehicle: str
    boot: str
    stream: str
    log: str
    policy: str
    seq: list[int]
    """As differences, as all stamps."""
    mono_ns: list[int]
    wall_ns: list[int]
    kinds: list[int]
    heads: list[list[Any]]
    """The fields of Head, each a column."""
    series: list[_Series]


def columns_bytes(header: SegmentHeader, records: list[Record], names: SignalNames) -> bytes:
    """The records as columns; the same bytes for the same records and the same zstandard."""
    table = table_of(records, names)
    found = _Object(
        version=VERSION,
        vehicle=header.vehicle,
        boot=header.boot,
        stream=header.stream,
        log=header.log,
        policy=header.policy,
        seq=_steps([record.seq for record in records]),
        mono_ns=_steps([record.mono_ns for record in records]),
        wall_ns=_steps([record.wall_ns for record in records]),
        kinds=[int(record.kind) for record in records],
        heads=[[getattr(head, name) for head in table.heads] for name in Head.__struct_fields__],
        series=[_Series(item.name, item.topic, _steps(item.rows), item.values) for item in table.series],
    )
    compressor = _library().ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True, write_content_size=True)
    data: bytes = compressor.compress(msgspec.msgpack.encode(found))
    return data


def read_columns(data: bytes) -> list[dict[str, Any]]:
    """One row a sample, with the columns of the Parquet form except that `value` has every kind of value."""
    found = msgspec.msgpack.decode(_library().ZstdDecompressor().decompress(data), type=_Object)
    seq, mono_ns, wall_ns = _sums(found.seq), _sums(found.mono_ns), _sums(found.wall_ns)
    heads = [dict(zip(Head.__struct_fields__, head, strict=True)) for head in zip(*found.heads, strict=True)]
    return [
        {
            **heads[row],
            "signal": series.name,
            "seq": seq[row],
            "mono_ns": mono_ns[row],
            "wall_ns": wall_ns[row],
            "class": RecordClass(found.kinds[row]).name.lower(),
            "value": value,
            "vehicle": found.vehicle,
            "boot": found.boot,
            "log": found.log,
            "policy": found.policy,
        }
        for series in found.series
        for row, value in zip(_sums(series.rows), series.values, strict=True)
    ]


def _steps(numbers: list[int]) -> list[int]:
    return [number - before for number, before in zip(numbers, [0, *numbers], strict=False)]


def _sums(steps: list[int]) -> list[int]:
    total, found = 0, []
    for step in steps:
        total += step
        found.append(total)
    return found


def _library() -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise ConfigError(
            "objects cannot be written as columns: zstandard is not installed",
            hint="pip install 'cardan[record]', or another `form` of the uplink",
        ) from error
    return zstandard
