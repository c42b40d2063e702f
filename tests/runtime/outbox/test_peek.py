"""Peeking: every durable record once, whatever outbox and uplink do meanwhile, and nothing that is not durable."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir, open_path
from cardan.runtime.outbox.peek import Peek
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import Record, RecordClass, record_bytes

KIND = RecordClass.CRITICAL


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    limits = QueueLimits(max_bytes=64 << 10, segment_bytes=4096)
    queue = Queue(class_dir(tmp_path, KIND), vehicle="v", boot="b", stream="critical", limits=limits)
    queue.open()
    return queue


def add(queue: Queue, count: int, fill: int = 0) -> None:
    for _ in range(count):
        queue.append(b"{%s}" % (b"x" * fill), kind=KIND, mono_ns=1, wall_ns=2)
    queue.commit()


def numbers(folder: Path, after: int) -> list[int]:
    """What is seen behind a number, all of it."""
    peek, seen = Peek(folder), [after]
    while records := peek.after(seen[-1]):
        seen += [record.seq for record in records]
    return seen[1:]


def test_durable_records_are_seen_wherever_they_lie(tmp_path: Path, queue: Queue) -> None:
    assert numbers(queue.folder, 0) == []
    add(queue, 3)
    queue.seal()
    add(queue, 2)
    assert numbers(queue.folder, 0) == [1, 2, 3, 4, 5]
    assert numbers(queue.folder, 2) == [3, 4, 5]
    claims = Claims(tmp_path)
    claims.open()
    claim = claims.oldest_or_none()
    assert claim is not None
    assert numbers(queue.folder, 0) == [1, 2, 3, 4, 5]
    claim.delivered()
    assert numbers(queue.folder, 0) == [1, 2, 3, 4, 5]
    queue.collect()
    assert numbers(queue.folder, 0) == [4, 5]


def test_what_is_written_but_not_synced_is_not_seen(tmp_path: Path, queue: Queue) -> None:
    add(queue, 1)
    with open_path(queue.folder, 1).open("ab") as file:
        file.write(record_bytes(Record(2, 0, 0, KIND, b"{}"), queue._header.log))
    assert numbers(queue.folder, 0) == [1]


def test_a_mark_that_is_lost_or_broken_hides_the_open_segment_until_it_is_sealed(tmp_path: Path, queue: Queue) -> None:
    add(queue, 1)
    queue.seal()
    add(queue, 1)
    os.truncate(queue.folder / "synced", 5)
    assert numbers(queue.folder, 0) == [1]
    queue.seal()
    assert numbers(queue.folder, 0) == [1, 2]


def test_a_reader_that_is_too_slow_sees_the_gap(tmp_path: Path, queue: Queue) -> None:
    for _ in range(40):
        add(queue, 1, fill=3900)
    seen = numbers(queue.folder, 0)
    assert seen[0] > 1 and seen == list(range(seen[0], 41))
