"""A batch: every record once, in order, as the disk will have it, with the numbers of its producers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.outbox.batch import Batch
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.segment import ClockQuality, Record, RecordClass, record_bytes

LOG = "0a1b2c3d"
KEPT = ClockQuality.KEPT

puts = st.lists(st.tuples(st.integers(0, 2), st.lists(st.binary(max_size=40), max_size=5)), max_size=8)


@given(puts, st.integers(1, 400))
def test_pieces_are_the_records_and_runs_are_their_numbers(puts: list[tuple[int, list[bytes]]], size: int) -> None:
    batch, next_number = Batch(LOG, longest=100), {0: 0, 1: 7, 2: 70}
    expected: list[Record] = []
    for producer, payloads in puts:
        number = next_number[producer]
        records = [PutRecord(len(payload), -1, payload) for payload in payloads]
        begin = len(expected) + 1
        batch.add(records, seq=begin, kind=RecordClass.EVENT, quality=KEPT, producer=producer, number=number)
        for offset, payload in enumerate(payloads):
            own = number + offset if producer else 0
            expected.append(Record(begin + offset, len(payload), -1, RecordClass.EVENT, payload, KEPT, producer, own))
        next_number[producer] += len(payloads) if producer else 0
    assert (len(batch), batch.bytes) == (len(expected), sum(len(record_bytes(record, LOG)) for record in expected))
    written, numbers = 0, []
    while len(batch):
        count, data = batch.piece(size)
        pieces = [record_bytes(record, LOG) for record in expected[written : written + count]]
        assert data == b"".join(pieces)
        assert sum(map(len, pieces[:-1])) < size, "not more than it takes to fill the size"
        runs = batch.drop(count)
        numbers += [(run.producer, run.number + at if run.producer else 0) for run in runs for at in range(run.count)]
        written += count
    assert numbers == [(record.producer, record.number) for record in expected]
    assert batch.bytes == 0


def test_what_is_before_a_record_that_is_too_long_is_taken() -> None:
    batch = Batch(LOG, longest=3)
    records = [PutRecord(0, 0, payload) for payload in (b"one", b"long", b"two")]
    with pytest.raises(ValueError, match="4 bytes is longer than a segment"):
        batch.add(records, seq=1, kind=RecordClass.BULK, quality=KEPT, producer=5, number=9)
    assert len(batch) == 1
    assert [(run.producer, run.number, run.count) for run in batch.drop(1)] == [(5, 9, 1)]
