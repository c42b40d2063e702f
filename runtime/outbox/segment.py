"""The bytes of the queue: segments of records, each with its own CRC, and what can be read of a damaged one.

A segment is its header twice, then records in sequence order:

    header   "CDNSEG02", u32 length, u32 CRC32, JSON (vehicle, boot, stream, log)
    record   u32 marker, u32 payload length, u32 CRC32, u64 sequence, i64 monotonic ns, i64 wall ns, u8 class,
             u8 clock quality, u32 producer, u64 number of the producer, payload

All integers are little-endian. A record's CRC covers everything after it and starts from the CRC of the log's name,
so that a record of another log never passes.
"""

from __future__ import annotations

import struct
from enum import IntEnum

import msgspec
from zlib_ng.zlib_ng import crc32

MAGIC = b"CDNSEG02"
MARKER = b"\xc5\xadNR"
MAX_PAYLOAD_BYTES = 1 << 20

_HEADER = struct.Struct("<8sII")
FRONT = struct.Struct("<4sII")
BODY = struct.Struct("<QqqBBIQ")
_RECORD = struct.Struct("<4sIIQqqBBIQ")
"""Both together."""
RECORD_BYTES = _RECORD.size
"""What a record takes beside its payload."""


class RecordClass(IntEnum):
    """How much a record matters: the lower, the more."""

    CRITICAL = 0
    EVENT = 1
    TREND = 2
    BULK = 3


class ClockQuality(IntEnum):
    """How far the wall stamp of a record can be trusted."""

    UNSET = 0
    """The clock was never set: it stood before this software was made."""
    FREE = 1
    """It was set at some time; nobody keeps it right."""
    KEPT = 2
    """Something keeps it right (NTP, PTP, GNSS), as the kernel says."""


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the records of a segment come from."""

    vehicle: str
    boot: str
    """Identifier of the computer's boot: monotonic stamps are of this boot."""
    stream: str
    log: str
    """Random identifier of this queue: (log, sequence) is unique for ever."""
    policy: str = ""
    """Hash of the privacy policy under which every record was kept."""
    purposes: tuple[str, ...] = ()
    """What its records may be kept for: all that was consented to at that time."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it came in."""

    seq: int
    mono_ns: int
    wall_ns: int
    kind: RecordClass
    payload: bytes
    quality: ClockQuality = ClockQuality.FREE
    """Of `wall_ns`."""
    producer: int = 0
    """Who put it through the door, as the queue's table of producers numbers them; 0: the outbox itself."""
    number: int = 0
    """The producer's own number of it."""


class Segment(msgspec.Struct, frozen=True):
    """What could be read of a segment file."""

    header: SegmentHeader | None
    records: list[Record]
    whole_bytes: int
    """Up to where the file is whole when `damaged` is False: a torn end starts here."""
    damaged: bool
    """True when whole records stand behind something unreadable."""


_CLASSES, _QUALITIES = tuple(RecordClass), tuple(ClockQuality)


def header_bytes(header: SegmentHeader) -> bytes:
    """What a segment file starts with."""
    text = msgspec.json.encode(header)
    return 2 * (_HEADER.pack(MAGIC, len(text), crc32(text)) + text)


def record_bytes(record: Record, log: str) -> bytes:
    """`record` as it is on disk. ValueError when its payload is too long."""
    if len(record.payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a record of {len(record.payload)} bytes is longer than {MAX_PAYLOAD_BYTES}")
    body = (
        BODY.pack(
            record.seq,
            record.mono_ns,
            record.wall_ns,
            record.kind,
            record.quality,
            record.producer,
            record.number,
        )
        + record.payload
    )
    return FRONT.pack(MARKER, len(record.payload), crc32(body, seed_of(log))) + body


def read_segment(data: bytes) -> Segment:
    """Everything whole in `data`; never raises."""
    header, position = _read_header(data)
    if header is None:
        return Segment(None, [], 0, damaged=bool(data.strip(b"\0")))
    records: list[Record] = []
    seed, damaged, whole, last = seed_of(header.log), False, position, 0
    view, size, unpack = memoryview(data), len(data), _RECORD.unpack_from
    while position + RECORD_BYTES <= size:  # written out, since an uplink spends a third of its time here
        marker, length, crc, seq, mono_ns, wall_ns, kind, quality, producer, number = unpack(data, position)
        end = position + RECORD_BYTES + length
        fits = marker == MARKER and length <= MAX_PAYLOAD_BYTES and end <= size and seq > last
        if not fits or crc32(view[position + FRONT.size : end], seed) != crc:
            position = data.find(MARKER, position + 1)
            if position < 0:
                break
            continue
        damaged = damaged or position != whole
        payload, quality = data[position + RECORD_BYTES : end], _QUALITIES[min(quality, 2)]
        records.append(Record(seq, mono_ns, wall_ns, _CLASSES[kind & 3], payload, quality, producer, number))
        position = whole = end
        last = seq
    return Segment(header, records, whole, damaged)


def read_header(data: bytes) -> SegmentHeader | None:
    """The header of a segment, from its first bytes; None when neither copy can be read."""
    return _read_header(data)[0]


def _read_header(data: bytes) -> tuple[SegmentHeader | None, int]:
    """The first readable copy of the header, and where the records start."""
    for start in (0, data.find(MAGIC, 1)):
        header, end = _header_or_none(data, start)
        if header is not None:
            return header, 2 * (end - start)
    return None, 0


def _header_or_none(data: bytes, start: int) -> tuple[SegmentHeader | None, int]:
    if start < 0 or len(data) < start + _HEADER.size:
        return None, 0
    magic, length, crc = _HEADER.unpack_from(data, start)
    end = start + _HEADER.size + length
    text = data[start + _HEADER.size : end]
    if magic != MAGIC or len(text) != length or crc32(text) != crc:
        return None, 0
    try:
        return msgspec.json.decode(text, type=SegmentHeader), end
    except msgspec.MsgspecError:
        return None, 0


def seed_of(log: str) -> int:
    """What the CRC of every record of this log starts from."""
    return crc32(log.encode())


def contiguous(records: list[Record]) -> list[list[Record]]:
    """`records` split where a sequence number is missing."""
    runs: list[list[Record]] = []
    for record in records:
        if runs and runs[-1][-1].seq + 1 == record.seq:
            runs[-1].append(record)
        else:
            runs.append([record])
    return runs
