"""The compiled parts do what their models in Python do, also with memory that somebody has scribbled over."""

from __future__ import annotations

import os
import random
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardan.runtime.bus import native, slots
from cardan.runtime.bus.frame_copy import STREAM_FROM, copy_frame
from cardan.runtime.bus.records import PythonRecords
from cardan.runtime.bus.ring import RingWriter
from cardan.runtime.bus.ring_file import RingMap, create_ring, open_ring
from cardan.runtime.bus.ring_layout import COUNT, PAGE, RESERVED, WORD, entries_of, file_bytes, largest_message

compiled: Any = native.compiled
pytestmark = pytest.mark.skipif(
    compiled is None,
    reason="the compiled parts are not there: install cardan again with a C compiler and Python's headers",
)

SMALL = 4096
LARGEST = largest_message(SMALL)


def memory_of_ring() -> bytearray:
    return bytearray(file_bytes(SMALL))


def both(memory: bytearray) -> tuple[Any, PythonRecords]:
    """Records of the same memory, of either kind."""
    entries = entries_of(SMALL)
    return compiled.Records(memory, SMALL, entries), PythonRecords(memoryview(memory), SMALL, entries)


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RingMap]:
    create_ring(tmp_path / "r", "a/x", SMALL)
    with closing(open_ring(tmp_path / "r", writable=True)) as opened:
        yield opened


# ------------------------------------------------------------------------------------------------------------- records


@given(st.lists(st.tuples(st.binary(max_size=50), st.integers(0, LARGEST)), max_size=60))
@settings(deadline=None)
def test_both_kinds_leave_the_same_bytes_and_read_the_same_messages(sent: list[tuple[bytes, int]]) -> None:
    one, other = memory_of_ring(), memory_of_ring()
    (fast, _), (_, plain) = both(one), both(other)
    for envelope, length in sent:
        payload = random.Random(length).randbytes(length)
        assert fast.append(envelope, payload) == plain.append(envelope, payload) == (len(envelope) + length <= LARGEST)
        assert one == other
    assert fast.count == plain.count
    for number in range(fast.count + 2):
        assert fast.read(number) == plain.read(number)
        assert fast.read_newest(number) == plain.read_newest(number)
        assert fast.read_run(number, number + 9) == plain.read_run(number, number + 9)


@pytest.mark.parametrize("seed", range(20))
def test_both_kinds_believe_the_same_of_damaged_memory(seed: int) -> None:
    chance, memory = random.Random(seed), memory_of_ring()
    _, writer = both(memory)
    for _ in range(100):
        assert writer.append(b"", chance.randbytes(chance.choice((0, 24, 90, 300))))
    writer.release()
    good, read = bytes(memory), 0
    for _ in range(200):
        image = bytearray(good)
        for _ in range(chance.choice((1, 1, 4, 30))):
            at = chance.choice((COUNT, RESERVED, chance.randrange(PAGE // WORD, len(image) // WORD))) * WORD
            old = int.from_bytes(image[at : at + WORD], "little")
            new = chance.choice((old + chance.randrange(-64, 64), old ^ 1 << chance.randrange(64), ~old, 2**63, 0))
            image[at : at + WORD] = (new % 2**64).to_bytes(WORD, "little")
        fast, plain = both(image)
        for number in range(60, 102):
            found = fast.read(number)
            assert found == plain.read(number)
            assert fast.read_newest(number) == plain.read_newest(number)
            read += found is not None
    assert read, "not everything is damaged"


def test_a_message_that_is_too_long_is_refused_and_changes_nothing(ring: RingMap) -> None:
    before = bytes(ring.data)
    assert not ring.records.append(bytes(LARGEST), b"x")
    assert (bytes(ring.data), ring.records.count, ring.words[RESERVED]) == (before, 0, 0)


@pytest.mark.parametrize(
    "size", [(0, 0), (SMALL, 0), (SMALL - 1, 32), (2 * SMALL, 64), (SMALL, 1 << 62), (1 << 63, 32)]
)
def test_memory_that_is_no_ring_of_that_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no ring of that size"):
        compiled.Records(memory_of_ring(), *size)


def test_a_ring_that_was_opened_for_reading_is_not_written(tmp_path: Path) -> None:
    create_ring(tmp_path / "r", "a/x", SMALL)
    with closing(open_ring(tmp_path / "r")) as ring, pytest.raises(TypeError, match="opened for reading"):
        ring.records.append(b"a", b"b")


def test_records_and_bells_that_are_released_refuse_and_let_their_memory_go(ring: RingMap, wake_fd: int) -> None:
    memory = memory_of_ring()
    records, bell = compiled.Records(memory, SMALL, entries_of(SMALL)), compiled.Bell(memory, 64, wake_fd)
    with pytest.raises(BufferError):
        memory.clear()
    for part in (records, bell):
        part.release()
        part.release()
    memory.clear()
    with closing(select.epoll()) as epoll:
        calls = (
            lambda: records.count,
            lambda: records.read(0),
            lambda: records.read_run(0, 1),
            lambda: records.append(b"", b""),
            lambda: ring.records.append(b"", b"", (bell,)),
            bell.fall_asleep,
            bell.announce,
            lambda: bell.ring(0),
            lambda: bell.sleep(epoll, 0),
        )
        _refuse_all(calls)


def _refuse_all(calls: tuple[Callable[[], object], ...]) -> None:
    for call in calls:
        with pytest.raises(ValueError, match="was released"):
            call()


def test_what_is_not_meant_for_them_is_an_error_and_never_a_crash(ring: RingMap) -> None:
    records: Any = ring.records
    wrong = (
        lambda: records.append(b"a"),
        lambda: records.append("a", b"b"),
        lambda: records.append(b"a", None),
        lambda: records.read("a"),
        lambda: records.read_run(0),
        lambda: records.read_run(0, None),
        lambda: compiled.Records(),
        lambda: compiled.Records(b"", 4096, "a"),
        lambda: records.append(b"a", b"b", [compiled.Bell(bytearray(64), 0, 1)]),
        lambda: records.append(b"a", b"b", ("a",)),
        lambda: compiled.Bell(bytes(64), 0, 1),
        lambda: compiled.Bell(bytearray(64), 0, wake_fd),
        lambda: compiled.Bell(bytearray(64), 0, 1).ring(None),
        lambda: compiled.copy(bytearray(3)),
        lambda: compiled.copy(b"abc", b"abc"),
    )
    call: Callable[[], object]
    for call in wrong:
        with pytest.raises((TypeError, BufferError)):
            call()
    for number in (-1, 2**64):
        with pytest.raises(OverflowError):
            records.read(number)


def test_nothing_is_kept_of_what_was_read_and_written(ring: RingMap) -> None:
    """References that are counted wrongly show as growth, or as a crash."""
    writer = RingWriter(ring)
    payload = b"p" * 100

    def go_round() -> None:
        for _ in range(200):
            writer.write(b"envelope", payload)
            ring.records.read(ring.records.count - 1)
            ring.records.read_run(ring.records.count - 5, ring.records.count)
            ring.records.read(ring.records.count + 7)

    for _ in range(5):
        writer.write(b"first")
    go_round()
    before, references = sys.getallocatedblocks(), sys.getrefcount(payload)
    for _ in range(20):
        go_round()
    assert sys.getallocatedblocks() - before < 50
    assert sys.getrefcount(payload) == references


# --------------------------------------------------------------------------------------------------------------- bells


@pytest.fixture
def wake_fd() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def epoll(wake_fd: int) -> Iterator[select.epoll]:
    with closing(select.epoll()) as made:
        made.register(wake_fd, select.EPOLLIN | select.EPOLLET)
        yield made


def rings(wake_fd: int) -> int:
    try:
        return os.eventfd_read(wake_fd)
    except BlockingIOError:
        return 0


def test_a_bell_is_not_rung_while_its_node_is_awake(wake_fd: int, epoll: select.epoll) -> None:
    memory = bytearray(128)
    ours, theirs, another = (compiled.Bell(memory, at, wake_fd) for at in (64, 64, 0))
    theirs.ring(0)
    assert rings(wake_fd) == 1
    assert ours.sleep(epoll, 0) == []
    theirs.ring(0)
    assert rings(wake_fd) == 0
    another.ring(0)
    assert rings(wake_fd) == 1, "that is another node's"
    ours.fall_asleep()
    theirs.ring(0)
    assert rings(wake_fd) == 1


def test_a_node_that_sleeps_on_another_processor_is_rung_before_its_message(wake_fd: int, epoll: select.epoll) -> None:
    memory = bytearray(64)
    ours, theirs = compiled.Bell(memory, 0, wake_fd), compiled.Bell(memory, 0, wake_fd)
    assert theirs.announce() == 0, "nobody knows whether it sleeps"
    ours.fall_asleep()
    memory[8:16] = (1000).to_bytes(8, "little")
    announced = theirs.announce()
    assert announced > 0 and rings(wake_fd) == 1
    theirs.ring(announced)
    assert rings(wake_fd) == 0, "it has not looked yet"
    assert ours.sleep(epoll, 0) == []
    assert theirs.announce() == 0, "it is awake"
    theirs.ring(announced)
    assert rings(wake_fd) == 0
    ours.fall_asleep()
    theirs.ring(announced)
    assert rings(wake_fd) == 1, "it may have looked before the message was there"


def test_a_message_rings_the_first_bell_before_it_is_there_and_others_behind_it(ring: RingMap, wake_fd: int) -> None:
    memory, other_fd = bytearray(128), os.eventfd(0, os.EFD_NONBLOCK)
    first, second = compiled.Bell(memory, 0, wake_fd), compiled.Bell(memory, 64, other_fd)
    for bell, at in ((first, 0), (second, 64)):
        bell.fall_asleep()
        memory[at + 8 : at + 16] = (1000).to_bytes(8, "little")
    assert ring.records.append(b"a", b"b", (first, second))
    assert (rings(wake_fd), rings(other_fd), ring.records.count) == (1, 1, 1)
    assert not ring.records.append(bytes(LARGEST), b"x", (first, second)), "what is too long wakes up nobody"
    assert (rings(wake_fd), rings(other_fd), ring.records.count) == (0, 0, 1)
    os.close(other_fd)


def test_a_node_that_sleeps_on_the_same_processor_is_rung_behind_its_message(wake_fd: int) -> None:
    processors = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(processors)})
        bell = compiled.Bell(bytearray(64), 0, wake_fd)
        bell.fall_asleep()
        assert bell.announce() == 0 and rings(wake_fd) == 0
        bell.ring(0)
        assert rings(wake_fd) == 1
    finally:
        os.sched_setaffinity(0, processors)


def test_a_bell_that_nobody_hears_any_more_is_rung_without_an_error(wake_fd: int) -> None:
    os.eventfd_write(wake_fd, 2**64 - 2)
    compiled.Bell(bytearray(64), 0, wake_fd).ring(0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        compiled.Bell(bytearray(64), 0, 1 << 20).ring(0)


def test_a_sleep_ends_with_the_descriptors_that_are_readable_or_when_time_is_up(
    wake_fd: int, epoll: select.epoll
) -> None:
    bell = compiled.Bell(bytearray(64), 0, wake_fd)
    assert bell.sleep(epoll, 0.001) == []
    bell.fall_asleep()
    bell.ring(0)
    assert bell.sleep(epoll, 10.0) == [wake_fd]
    other = os.eventfd(1)
    epoll.register(other, select.EPOLLIN)
    bell.fall_asleep()
    bell.ring(0)
    assert sorted(bell.sleep(epoll, 10.0)) == sorted([wake_fd, other])
    os.close(other)
    with pytest.raises(OSError, match="Invalid argument"):
        bell.sleep(wake_fd, 0)


def test_a_signal_ends_a_sleep_when_its_handler_raises_and_only_then(wake_fd: int, epoll: select.epoll) -> None:
    class Told(Exception):
        pass

    bell, seen = compiled.Bell(bytearray(64), 0, wake_fd), []

    def handle(number: int, frame: object) -> None:
        seen.append(number)
        if len(seen) == 2:
            raise Told

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        with pytest.raises(Told):
            bell.sleep(epoll, 10.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(seen) == 2


@pytest.mark.parametrize("at", [-8, -1, 4, 113, 120, 128, 1 << 40])
def test_a_bell_lies_inside_its_page(at: int) -> None:
    with pytest.raises(ValueError, match="no bell at that place"):
        compiled.Bell(bytearray(128), at, 1)


def test_slots_are_reused_behind_a_fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it orders no test can see on a processor that keeps the order of stores; that it is there can be seen."""
    native.fence()
    fenced: list[int] = []
    pool, maps = slots.SlotPool(tmp_path, "camera.frame.1"), slots.SlotMaps(tmp_path)
    monkeypatch.setattr(slots, "fence", lambda: fenced.append(1))
    array = pool.take((3,), np.dtype(np.uint8))
    pool.seal(array)
    descriptor = pool.describe(array)
    maps.view(descriptor)
    assert len(fenced) == 1
    assert maps.intact(descriptor)
    assert len(fenced) == 2


# -------------------------------------------------------------------------------------------------------------- copies


@pytest.mark.parametrize("offset", [0, 1, 13, 63])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 127, 1000, 300_001])
def test_a_copy_past_the_caches_is_a_copy_and_leaves_its_neighbours_alone(size: int, offset: int) -> None:
    source, target = random.Random(size).randbytes(size), bytearray(b"\xaa" * (size + 128))
    compiled.copy(memoryview(target)[offset : offset + size], source)
    assert target[offset : offset + size] == source
    assert set(target[:offset]) | set(target[offset + size :]) == {0xAA}


def test_a_copy_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="4 bytes do not fit into 3"):
        compiled.copy(bytearray(3), b"abcd")


@pytest.mark.parametrize("dtype", ["u1", ">i2", "<f4", "M8[ns]", "c16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_frame_is_copied_whatever_its_type_and_order(dtype: str, order: Any) -> None:
    item = np.dtype(dtype).itemsize
    raw = np.frombuffer(random.Random(3).randbytes(2 * STREAM_FROM), dtype).reshape(2, -1, STREAM_FROM // item // 4)
    source, target = np.asarray(raw, order=order), np.empty(raw.shape, dtype)
    copy_frame(target, source)
    assert target.tobytes() == np.ascontiguousarray(source).tobytes()
