"""Segments: what is whole is read, whatever happened to the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.outbox.segment import (
    MAX_PAYLOAD_BYTES,
    Record,
    RecordClass,
    SegmentHeader,
    contiguous,
    header_bytes,
    read_segment,
    record_bytes,
)

HEADER = SegmentHeader(vehicle="v", boot="b", stream="s", log="0a1b2c3d")

payloads = st.lists(st.binary(max_size=60), min_size=1, max_size=12)


def records_of(contents: list[bytes]) -> list[Record]:
    return [Record(seq, seq * 10, -seq, RecordClass.EVENT, content) for seq, content in enumerate(contents, start=5)]


def segment_bytes(records: list[Record]) -> bytes:
    return header_bytes(HEADER) + b"".join(record_bytes(record, HEADER.log) for record in records)


@given(payloads)
def test_what_was_written_is_read(contents: list[bytes]) -> None:
    records = records_of(contents)
    data = segment_bytes(records)
    segment = read_segment(data)
    assert (segment.header, segment.records, segment.whole_bytes, segment.damaged) == (
        HEADER,
        records,
        len(data),
        False,
    )


@given(payloads, st.data(), st.binary(max_size=40))
def test_a_torn_end_costs_the_torn_record_only(contents: list[bytes], data: st.DataObject, garbage: bytes) -> None:
    records = records_of(contents)
    whole = segment_bytes(records[:-1])
    cut = data.draw(st.integers(0, len(record_bytes(records[-1], HEADER.log)) - 1))
    segment = read_segment(segment_bytes(records)[: len(whole) + cut] + garbage)
    assert segment.records == records[:-1]
    assert segment.whole_bytes == len(whole)
    assert not segment.damaged


@given(payloads, st.data())
def test_one_flipped_bit_is_always_found_and_costs_one_record(contents: list[bytes], data: st.DataObject) -> None:
    records = records_of(contents)
    broken = bytearray(segment_bytes(records))
    position = data.draw(st.integers(len(header_bytes(HEADER)), len(broken) - 1))
    broken[position] ^= 1 << data.draw(st.integers(0, 7))
    segment = read_segment(bytes(broken))
    lost = [record for record in records if record not in segment.records]
    assert len(lost) == 1
    assert segment.records == [record for record in records if record is not lost[0]]
    assert segment.damaged == (lost[0] is not records[-1])


@given(st.integers(0, len(header_bytes(HEADER)) - 1), st.integers(0, 7))
def test_one_flipped_bit_in_the_header_costs_nothing(position: int, bit: int) -> None:
    records = records_of([b"one", b"two"])
    broken = bytearray(segment_bytes(records))
    broken[position] ^= 1 << bit
    segment = read_segment(bytes(broken))
    assert segment.header == HEADER
    assert segment.records == records


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(data: bytes) -> None:
    assert read_segment(data).records == []


def test_a_record_of_another_log_is_not_read() -> None:
    stranger = record_bytes(Record(9, 0, 0, RecordClass.BULK, b"{}"), "another")
    assert read_segment(header_bytes(HEADER) + stranger).records == []


def test_a_payload_that_looks_like_a_record_is_a_payload() -> None:
    inner = record_bytes(Record(1, 0, 0, RecordClass.TREND, b"{}"), HEADER.log)
    records = [Record(5, 0, 0, RecordClass.TREND, inner), Record(6, 0, 0, RecordClass.TREND, b"{}")]
    assert read_segment(segment_bytes(records)).records == records


def test_a_payload_has_a_limit() -> None:
    with pytest.raises(ValueError, match="longer than"):
        record_bytes(Record(1, 0, 0, RecordClass.TREND, bytes(MAX_PAYLOAD_BYTES + 1)), "log")


def test_records_are_split_where_numbers_are_missing() -> None:
    records = [Record(seq, 0, 0, RecordClass.TREND, b"") for seq in (1, 2, 5, 7, 8)]
    assert [[record.seq for record in run] for run in contiguous(records)] == [[1, 2], [5], [7, 8]]
