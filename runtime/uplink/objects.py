"""Objects of the store: their names, and the JSON Lines in them. Both follow from the segment alone.

Names are hive folders, so DuckDB and Spark read the store as one table:

    v1/records/date=YYYY-MM-DD/vehicle=ID/boot=ID/STREAM-LOG-FIRST-LAST-HASH.jsonl.gz
    select topic, message from read_json('STORE/v1/records/**/*.jsonl.gz', hive_partitioning = true)

HASH is of the records, not of the bytes: whoever finds the name taken knows by what, however it was compressed.
"""

from __future__ import annotations

import struct
from datetime import datetime, timezone

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader

LAYOUT = "v1"
"""First folder of every name: another layout of folders or columns has another."""
COMPRESSION_LEVEL = 4
"""Of zlib-ng: on telemetry fewer bytes than level 4 of zlib, in less time."""
GZIP = 31
"""Bits of the window, and that a header of gzip goes around it, without name and time."""
CONTENT_TYPE = "application/gzip"
ZSTD_LEVEL = 3

CLASS_NAMES = tuple(kind.name.lower() for kind in RecordClass)
_PLACE = struct.Struct("<QqqB")


def object_name(
    header: SegmentHeader, records: list[Record], *, kind: str = "records", ending: str = "jsonl.gz"
) -> str:
    """Name of the object that a segment becomes, known before anything is sent.

    The date is the wall time of the first record as it was stamped, so it stays when the clock is set right later.
    """
    first, last = records[0], records[-1]
    date = datetime.fromtimestamp(first.wall_ns // NS_PER_S, tz=timezone.utc).strftime("%Y-%m-%d")
    folder = f"{LAYOUT}/{kind}/date={date}/vehicle={header.vehicle}/boot={header.boot}"
    numbers = f"{first.seq:012d}-{last.seq:012d}"
    return f"{folder}/{header.stream}-{header.log}-{numbers}-{content_hash(header, records)}.{ending}"


def content_hash(header: SegmentHeader, records: list[Record]) -> str:
    """16 hexadecimal digits of the SHA-256 of what the records say, whatever they are written as."""
    from hashlib import sha256  # takes longer to load than all of `cardan status` may need of this module

    pack, parts = _PLACE.pack, [f"{header.log}\n".encode()]
    for record in records:
        parts.append(pack(record.seq, record.mono_ns, record.wall_ns, record.kind))
        parts.append(record.payload)
    return sha256(b"".join(parts)).hexdigest()[:16]


def object_bytes(header: SegmentHeader, records: list[Record]) -> bytes:
    """The records as compressed JSON Lines; the same bytes every time with the same zlib-ng."""
    from zlib_ng.zlib_ng import compress

    return compress(json_lines(header, records), COMPRESSION_LEVEL, GZIP)


def zstd_object_bytes(header: SegmentHeader, records: list[Record]) -> bytes:
    """The same lines by zstd: a quarter fewer bytes in half the time. ConfigError when it is not installed."""
    try:
        import zstandard
    except ImportError as error:
        raise ConfigError(
            "objects cannot be compressed by zstd: zstandard is not installed",
            hint="pip install 'cardan[record]', or `form = \"jsonl\"` of the uplink",
        ) from error
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
    return compressor.compress(json_lines(header, records))


def json_lines(header: SegmentHeader, records: list[Record]) -> bytes:
    """One line a record: its place in the log, its stamps, then the fields of its payload."""
    policy = f'"policy":"{header.policy}",' if header.policy else ""
    front = f'{{"stream":"{header.stream}","log":"{header.log}",{policy}"seq":'
    lines = [
        f'{front}{record.seq},"class":"{CLASS_NAMES[record.kind]}","mono_ns":{record.mono_ns},'
        f'"wall_ns":{record.wall_ns},'.encode()
        + record.payload[1:]
        for record in records
    ]
    return b"\n".join(lines) + b"\n"
