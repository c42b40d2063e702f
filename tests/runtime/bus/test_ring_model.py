"""The ring against a model, with every interleaving: readers act between any two stores of the writer, the writer acts
between any two loads of a reader, and the writer is killed at any store, also in the middle of one.

It takes the records in Python, whose loads and stores can be watched; test_native.py holds the compiled ones to them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cardan.runtime.bus import ring_file
from cardan.runtime.bus.records import PythonRecords
from cardan.runtime.bus.ring import Arrival, RingReader, RingWriter
from cardan.runtime.bus.ring_file import create_ring, open_ring
from cardan.runtime.bus.ring_layout import COUNT, largest_message

SMALL = 4096
LENGTHS = st.one_of(st.integers(0, 60), st.integers(0, largest_message(SMALL)))


class KilledError(Exception):
    """The process of the writer is gone at this instruction."""


class Stores:
    """A view whose stores can be watched, cut short, and followed by the death of whoever stores."""

    def __init__(self, view: memoryview, before: Callable[[memoryview, Any, Any], None]) -> None:
        self._view = view
        self._before = before

    def __getitem__(self, where: Any) -> Any:
        return self._view[where]

    def __setitem__(self, where: Any, value: Any) -> None:
        self._before(self._view, where, value)
        self._view[where] = value


class Loads:
    """A view whose loads can be followed by the doings of others; of a slice, before it is copied."""

    def __init__(self, target: Any, after: Callable[[], None]) -> None:
        self._target = target
        self._after = after

    def __getitem__(self, where: Any) -> Any:
        value = self._target[where]
        self._after()
        return value


class FollowingReader:
    """A reader with the sum of what it was told: nothing may be missing from it, and nothing be there twice."""

    def __init__(self, reader: RingReader) -> None:
        self.reader = reader
        self.started = reader.next
        self.accounted = 0
        self.last = reader.next - 1

    def take(self, completed: dict[int, bytes], newest: bool, limit: int) -> None:
        if newest:
            arrivals = [self.reader.take_newest()]
        else:
            arrivals = [self.reader.take_single(), *self.reader.take(limit)]
        for arrival in arrivals:
            if arrival is not None:
                self._account(arrival, completed)

    def _account(self, arrival: Arrival, completed: dict[int, bytes]) -> None:
        assert arrival.message == completed[arrival.number], "a torn or foreign message was taken for whole"
        assert arrival.number > self.last
        assert arrival.number - arrival.skipped - arrival.lost - 1 == self.last
        self.last = arrival.number
        self.accounted += 1 + arrival.skipped + arrival.lost


class RingModel(RuleBasedStateMachine):
    @initialize()
    def make(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "r"
        create_ring(path, "a/x", SMALL)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ring_file, "Records", PythonRecords)
            self.ring = open_ring(path, writable=True)
            self.readers_ring = open_ring(path)
        self.completed: dict[int, bytes] = {}
        self.readers: list[FollowingReader] = []
        self.salt = 0
        self.start_writer()

    def start_writer(self) -> None:
        self.writer = RingWriter(self.ring)

    def write(self, length: int) -> None:
        """One message, completed when COUNT says so: its content depends on its number and on the try."""
        self.salt += 1
        number, message = self.ring.words[COUNT], bytes((self.salt * 31 + k) & 0xFF for k in range(length))
        self.completed[number] = message
        self.writer.write(message)

    @rule(length=LENGTHS)
    def write_alone(self, length: int) -> None:
        self.write(length)

    @rule(count=st.integers(30, 80), length=LENGTHS)
    def write_round_the_ring(self, count: int, length: int) -> None:
        for _ in range(count):
            self.write(length)

    @rule(
        length=LENGTHS,
        acts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.floats(0, 1)), max_size=4),
    )
    def write_while_readers_read(self, length: int, acts: list[tuple[int, int, bool, float]]) -> None:
        """acts: before store number, which reader, newest or in order, and how much of a data store is done by then."""
        with self.watched_stores(lambda store, view, where, value: self.read_before(store, acts, view, where, value)):
            self.write(length)

    def read_before(
        self, store: int, acts: list[tuple[int, int, bool, float]], view: memoryview, where: Any, value: Any
    ) -> None:
        for at, which, newest, share in acts:
            if at == store and self.readers:
                _store_a_part(view, where, value, share)
                self.readers[which % len(self.readers)].take(self.completed, newest, 8)

    @rule(length=LENGTHS, store=st.integers(0, 3), share=st.floats(0, 1))
    def kill_the_writer(self, length: int, store: int, share: float) -> None:
        def die(number: int, view: memoryview, where: Any, value: Any) -> None:
            if number == store:
                _store_a_part(view, where, value, share)
                raise KilledError

        before = self.ring.words[COUNT]
        with self.watched_stores(die), pytest.raises(KilledError):
            self.write(length)
        assert self.ring.words[COUNT] == before
        del self.completed[before]
        self.start_writer()

    @contextmanager
    def watched_stores(self, watch: Callable[[int, memoryview, Any, Any], None]) -> Iterator[None]:
        stores = 0

        def before(view: memoryview, where: Any, value: Any) -> None:
            nonlocal stores
            stores += 1
            watch(stores - 1, view, where, value)

        with pytest.MonkeyPatch.context() as patch:
            for name in ("words", "index", "data"):
                patch.setattr(self.ring.records, name, Stores(getattr(self.ring.records, name), before))
            yield

    @rule(late=st.booleans())
    def add_a_reader(self, late: bool) -> None:
        if len(self.readers) < 4:
            self.readers.append(FollowingReader(RingReader(self.readers_ring, None if late else self.oldest_start())))

    def oldest_start(self) -> int:
        return max(0, self.ring.words[COUNT] - 40)

    @rule(which=st.integers(0, 3))
    def kill_a_reader(self, which: int) -> None:
        if self.readers:
            self.readers.pop(which % len(self.readers))

    @rule(which=st.integers(0, 3), newest=st.booleans(), limit=st.integers(1, 60))
    def read_alone(self, which: int, newest: bool, limit: int) -> None:
        if self.readers:
            self.readers[which % len(self.readers)].take(self.completed, newest, limit)

    @rule(
        which=st.integers(0, 3),
        newest=st.booleans(),
        loads=st.lists(st.integers(0, 40), max_size=5),
        lengths=st.lists(LENGTHS, min_size=1, max_size=40),
    )
    def read_while_the_writer_writes(self, which: int, newest: bool, loads: list[int], lengths: list[int]) -> None:
        """loads: after which loads of the reader the writer writes that many messages at once."""
        if not self.readers:
            return
        following, seen = self.readers[which % len(self.readers)], 0

        def act() -> None:
            nonlocal seen
            if seen in loads:
                for length in lengths:
                    self.write(length)
            seen += 1

        reader, records = following.reader, self.readers_ring.records
        with pytest.MonkeyPatch.context() as patch:
            for name in ("_words", "_index"):
                patch.setattr(reader, name, Loads(getattr(reader, name), act))
            for name in ("words", "index", "heads", "data"):
                patch.setattr(records, name, Loads(getattr(records, name), act))
            following.take(self.completed, newest, 20)

    @invariant()
    def nothing_is_unaccounted_for(self) -> None:
        for following in getattr(self, "readers", []):
            assert following.accounted == following.last + 1 - following.started
            assert following.reader.torn == 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.ring.close()
            self.readers_ring.close()
            self.folder.cleanup()


def _store_a_part(view: memoryview, where: Any, value: Any, share: float) -> None:
    """What is visible of a store of many bytes while it goes on; a word is stored at once or not at all."""
    if isinstance(where, slice):
        done = int(len(value) * share)
        view[where.start : where.start + done] = value[:done]


RingModel.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestRingModel = pytest.mark.slow(RingModel.TestCase)
