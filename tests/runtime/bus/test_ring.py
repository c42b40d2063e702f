from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cardan.runtime.bus.ring import LOOKS, RingReader, RingWriter
from cardan.runtime.bus.ring_file import RingMap, create_ring, open_ring
from cardan.runtime.bus.ring_layout import (
    COUNT,
    DATA_BYTES,
    PAGE,
    RECORD_HEAD,
    RESERVED,
    SCHEMA,
    WORD,
    entries_of,
    file_bytes,
    largest_message,
)
from cardan.runtime.errors import BusError

SMALL = 4096
LARGEST = largest_message(SMALL)


@pytest.fixture
def ring(tmp_path: Path, parts: str) -> Iterator[RingMap]:
    """A small ring, writable: 32 messages, 4096 bytes."""
    create_ring(tmp_path / "a.x.ring", "a/x", SMALL)
    with closing(open_ring(tmp_path / "a.x.ring", writable=True)) as opened:
        yield opened


def numbered(number: int, length: int = 20) -> bytes:
    return number.to_bytes(4, "little") * (length // 4)


class Late:
    """Records that can be seen only after some looks."""

    def __init__(self, ring: RingMap) -> None:
        self._records = ring.records
        self.looks = 0
        self.before_each: Callable[[], None] = lambda: None

    @property
    def count(self) -> int:
        return self._records.count

    def read(self, number: int) -> bytes | None:
        self.looks += 1
        self.before_each()
        return self._records.read(number)

    def read_newest(self, number: int) -> bytes | None:
        return self.read(number) if self.count == number + 1 else None

    def read_run(self, first: int, end: int) -> list[bytes]:
        return self._records.read_run(first, end)


def taken(reader: RingReader, limit: int = 1000) -> list[int]:
    return [int.from_bytes(arrival.message[:4], "little") for arrival in reader.take(limit)]


def test_a_reader_gets_every_message_in_order(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    for number in range(10):
        writer.write(numbered(number))
    assert taken(reader, limit=4) == [0, 1, 2, 3]
    assert reader.waiting == 6
    assert taken(reader) == list(range(4, 10))
    assert taken(reader) == []


def test_a_single_message_is_taken_alone_and_counted_like_any_other(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    assert reader.take_single() is None
    writer.write(numbered(0))
    arrival = reader.take_single()
    assert arrival is not None
    assert (arrival.message, arrival.number, arrival.skipped, arrival.lost) == (numbered(0), 0, 0, 0)
    writer.write(numbered(1))
    ring.data[ring.index[1] + RECORD_HEAD] ^= 1
    assert reader.take_single() is None, "it is damaged: `take` tells"
    assert taken(reader) == []
    writer.write(numbered(2))
    arrival = reader.take_single()
    assert arrival is not None
    assert (arrival.number, arrival.lost) == (2, 1)
    for number in (3, 4):
        writer.write(numbered(number))
    assert reader.take_single() is None
    assert taken(reader) == [3, 4]


def test_the_newest_message_comes_once_and_says_how_many_it_replaces(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    assert reader.take_newest() is None
    for number in range(5):
        writer.write(numbered(number))
    arrival = reader.take_newest()
    assert arrival is not None
    assert (arrival.message, arrival.number, arrival.skipped, arrival.lost) == (numbered(4), 4, 4, 0)
    assert reader.take_newest() is None


def test_a_reader_without_a_place_starts_behind_the_newest(ring: RingMap) -> None:
    writer = RingWriter(ring)
    writer.write(numbered(1))
    reader = RingReader(ring)
    writer.write(numbered(2))
    assert taken(reader) == [2]


def test_a_reader_that_is_overtaken_learns_how_many_it_missed_and_keeps_a_quarter_of_the_ring(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    for number in range(500):
        writer.write(numbered(number))
    arrivals = list(reader.take(1000))
    numbers = [arrival.number for arrival in arrivals]
    assert arrivals[0].lost + len(arrivals) == 500
    assert numbers == list(range(500 - len(arrivals), 500))
    assert len(arrivals) == entries_of(SMALL) * 3 // 4, "so many that the writer does not overtake it again at once"
    assert reader.torn == 0


def test_long_messages_overtake_by_their_bytes_and_never_cross_the_end(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    for number in range(50):
        writer.write(numbered(number, LARGEST))
    arrivals = list(reader.take(1000))
    assert arrivals[0].lost + len(arrivals) == 50
    assert [arrival.message for arrival in arrivals] == [numbered(a.number, LARGEST) for a in arrivals]


def test_an_empty_message_is_a_message(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    writer.write(b"")
    assert [arrival.message for arrival in reader.take(2)] == [b""]


def test_a_message_that_is_too_long_is_refused_and_leaves_the_ring_as_it_was(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    with pytest.raises(BusError, match=rf"{LARGEST + 1} bytes is longer than its ring takes \({LARGEST} bytes\)"):
        writer.write(bytes(LARGEST + 1))
    writer.write(numbered(3))
    assert taken(reader) == [3]


def test_the_next_publisher_goes_on_behind_what_a_killed_one_left(ring: RingMap) -> None:
    first, reader = RingWriter(ring, schema=7, epoch=1, pid=11), RingReader(ring, 0)
    first.write(numbered(1))
    ring.words[RESERVED] += 64  # it was killed while it wrote its next message
    second = RingWriter(ring, schema=7, epoch=2, pid=12)
    second.write(numbered(2))
    assert taken(reader) == [1, 2]
    assert ring.words[SCHEMA] == 7


@pytest.mark.parametrize("behind", [0, 3])
def test_what_a_killed_publisher_had_not_yet_counted_is_no_message(ring: RingMap, behind: int) -> None:
    """It may lie there complete, with the number that the next publisher gives to another message."""
    reader = RingReader(ring, 0)
    first = RingWriter(ring)
    for number in range(1 + behind):
        first.write(numbered(number))
    count = ring.words[COUNT]
    first.write(numbered(77))
    ring.words[COUNT] = count
    second = RingWriter(ring)
    for number in range(1 + behind, 5 + behind):
        second.write(numbered(number))
    assert taken(reader) == list(range(5 + behind))


def test_a_damaged_message_is_passed_over_and_counted(ring: RingMap) -> None:
    writer, reader, newest = RingWriter(ring), RingReader(ring, 0), RingReader(ring, 0)
    for number in range(3):
        writer.write(numbered(number))
    ring.data[ring.index[1] + RECORD_HEAD] ^= 0x40
    arrivals = list(reader.take(10))
    assert [(arrival.number, arrival.lost) for arrival in arrivals] == [(0, 0), (2, 1)]
    assert reader.torn == 1
    ring.data[ring.index[2] + RECORD_HEAD] ^= 0x40
    arrival = newest.take_newest()
    assert arrival is not None
    assert (arrival.number, arrival.skipped, arrival.lost, newest.torn) == (0, 0, 0, 1)
    writer.write(numbered(3))
    arrival = newest.take_newest()
    assert arrival is not None
    assert (arrival.number, arrival.skipped, arrival.lost) == (3, 0, 2), "the two damaged ones"


def test_when_nothing_can_be_read_the_reader_goes_on_with_what_comes(ring: RingMap) -> None:
    writer, reader, newest = RingWriter(ring), RingReader(ring, 0), RingReader(ring, 0)
    writer.write(numbered(0))
    ring.data[RECORD_HEAD] ^= 1
    assert taken(reader) == []
    assert newest.take_newest() is None
    writer.write(numbered(1))
    assert [(arrival.number, arrival.lost) for arrival in reader.take(5)] == [(1, 1)]
    found = newest.take_newest()
    assert found is not None
    assert (found.number, found.skipped, found.lost) == (1, 0, 1)


def test_a_record_that_becomes_visible_late_is_waited_for(ring: RingMap, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU that orders stores freely, COUNT may be seen before the record."""
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    writer.write(numbered(5))
    record = bytes(ring.data[:64])
    ring.data[:64] = bytes(64)
    late = Late(ring)

    def arrive() -> None:
        if late.looks == LOOKS // 2:
            ring.data[:64] = record

    late.before_each = arrive
    monkeypatch.setattr(reader, "_records", late)
    assert taken(reader) == [5]
    assert reader.torn == 0


def test_a_reader_believes_no_count_that_went_back(ring: RingMap) -> None:
    writer, reader = RingWriter(ring), RingReader(ring, 0)
    for number in range(3):
        writer.write(numbered(number))
    assert taken(reader) == [0, 1, 2]
    ring.words[COUNT] = 1
    assert (taken(reader), reader.take_newest(), reader.waiting) == ([], None, 0)


def test_a_ring_knows_its_topic_and_takes_all_its_memory_at_once(tmp_path: Path) -> None:
    create_ring(tmp_path / "r", "camera/frame", SMALL)
    with closing(open_ring(tmp_path / "r")) as ring:
        assert ring.topic == "camera/frame"
    status = (tmp_path / "r").stat()
    assert status.st_size == file_bytes(SMALL)
    assert status.st_blocks * 512 >= status.st_size
    assert status.st_mode & 0o777 == 0o600


@pytest.mark.parametrize("size", [0, 100, 2048, 4097, 6000, -4096])
def test_a_size_that_no_ring_can_have_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(BusError, match="power of two"):
        create_ring(tmp_path / "r", "a/x", size)


def test_a_ring_that_cannot_be_made_says_where_and_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(BusError, match=r"memory for the topic a/x at .*absent.*\n.*df -h"):
        create_ring(tmp_path / "absent" / "r", "a/x", SMALL)
    create_ring(tmp_path / "r", "a/x", SMALL)
    with pytest.raises(BusError, match="File exists"):
        create_ring(tmp_path / "r", "a/x", SMALL)


def test_a_ring_that_is_gone_says_who_may_have_swept_it(tmp_path: Path) -> None:
    with pytest.raises(BusError, match=r"cannot open the ring .*\n.*RemoveIPC="):
        open_ring(tmp_path / "r")


@pytest.mark.parametrize("content", [b"", b"x", bytes(PAGE), b"\xff" * 8192, bytes(file_bytes(SMALL))])
def test_a_file_that_is_no_ring_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r").write_bytes(content)
    with pytest.raises(BusError, match=r"no ring|cannot open the ring"):
        open_ring(tmp_path / "r")


@pytest.mark.parametrize("size", [SMALL * 2, 1 << 40, 5000])
def test_a_ring_that_lies_about_its_size_is_refused(tmp_path: Path, size: int) -> None:
    create_ring(tmp_path / "r", "a/x", SMALL)
    with (tmp_path / "r").open("r+b") as file:
        file.seek(DATA_BYTES * WORD)
        file.write(size.to_bytes(WORD, "little"))
    with pytest.raises(BusError, match="no ring of this release"):
        open_ring(tmp_path / "r")
