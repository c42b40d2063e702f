"""The table of producers: what was kept of each is known after any kill, and a hole is taken when it comes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.outbox.folder import open_path
from cardan.runtime.outbox.producers import MOST_PRODUCERS, TABLE_NAME, ProducerTable
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import Record, RecordClass


def record(producer: int, number: int) -> Record:
    return Record(number, 0, 0, RecordClass.EVENT, b"{}", producer=producer, number=number)


def loaded(folder: Path) -> ProducerTable:
    table = ProducerTable(folder)
    table.load()
    return table


def test_a_producer_keeps_its_place(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    one, two = table.standing("one"), table.standing("two")
    table.kept(one.id, 1, 2)
    table.kept(two.id, 1, 1)
    assert loaded(tmp_path).standing("one").highest == 0, "not written yet: the open segment knows"
    table.save()
    again = loaded(tmp_path)
    assert (again.standing("one").highest, again.standing("two").highest) == (2, 1)
    assert again.standing("one").id == one.id


def test_a_producer_that_is_new_is_written_down_at_once(tmp_path: Path) -> None:
    first = loaded(tmp_path).standing("one")
    assert loaded(tmp_path).standing("two").id != first.id


def test_numbers_that_a_torn_write_lost_are_holes_until_they_come(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    row = table.standing("one")
    table.kept(row.id, 1, 1)
    table.recovered([record(row.id, number) for number in (2, 5)])
    assert (row.highest, row.holes) == (5, [3, 4])
    table.kept(row.id, 4, 1)
    assert (row.highest, row.holes) == (5, [3])


def test_the_one_that_was_silent_longest_is_forgotten(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    ids = [table.standing(f"p{number}").id for number in range(MOST_PRODUCERS)]
    table.standing("p0")
    table.standing("another", in_use=[ids[1]])
    known = {
        name for name in (f"p{number}" for number in range(3)) if f'"{name}"' in (tmp_path / TABLE_NAME).read_text()
    }
    assert known == {"p0", "p1"}


@pytest.mark.parametrize("damage", [b"", b"00000000 []", b"\xff" * 40])
def test_a_table_that_cannot_be_read_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    loaded(tmp_path).standing("one")
    (tmp_path / TABLE_NAME).write_bytes(damage)
    assert loaded(tmp_path).standing("one").highest == 0
    assert (tmp_path / f"{TABLE_NAME}.damaged").read_bytes() == damage


def test_after_a_kill_the_open_segment_says_what_the_table_does_not(tmp_path: Path) -> None:
    def opened() -> Queue:
        queue = Queue(tmp_path / "event", vehicle="v", boot="b", stream="event", limits=QueueLimits())
        queue.open()
        return queue

    queue = opened()
    row = queue.producers.standing("one")
    for number in range(1, 6):
        queue.append(b"{}", kind=RecordClass.EVENT, mono_ns=0, wall_ns=0, producer=row.id, number=number)
        queue.commit()
    if queue._lock is not None:
        queue._lock.release()
    path = open_path(queue.folder, 1)
    data = bytearray(path.read_bytes())
    data[data.index(b"\xc5\xadNR", len(data) // 2) + 14] ^= 1  # one record in the middle
    path.write_bytes(data)
    queue = opened()
    standing = queue.producers.standing("one")
    assert standing.highest == 5 and len(standing.holes) == 1
    assert queue.ledger().damaged == 1
    queue.close()
