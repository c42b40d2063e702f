"""A ring: the newest messages of one topic in shared memory, one publisher, any number of readers.

The publisher never waits for a reader and need not know of any. A reader keeps its own place; when the publisher comes
round and overtakes it, it notices, and counts what it missed. Nobody holds a lock, so either side may be killed at any
instruction: what was complete stays readable, and the next publisher goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterator

from cardan.runtime.bus.bells import PythonBell
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.ring_file import RingMap
from cardan.runtime.bus.ring_layout import ALIGNMENT, COUNT, EPOCH, PUBLISHER, RESERVED, SCHEMA, largest_message
from cardan.runtime.errors import BusError

LOOKS = 64
"""How often a reader looks at a record whose seal does not fit before it gives that record up: a complete message is
visible at once where stores keep their order (x86), and within nanoseconds elsewhere."""


RUN = 64
"""A reader that is behind copies so many messages at once."""


class Arrival(Passed, frozen=True, gc=False):
    """One message that a reader took from a ring, and what passed before it.

    Lost are those that were overwritten, or damaged, before they could be read; none is told of twice.
    """

    message: bytes
    """Envelope and payload, a copy of its own."""


class RingWriter:
    """The publishing end; one at a time (see publisher_lock). Not thread-safe."""

    def __init__(self, ring: RingMap, *, schema: int = 0, epoch: int = 0, pid: int = 0) -> None:
        self._append = ring.records.append
        self._largest = largest_message(ring.data_bytes)
        # What a killed predecessor was writing lies between its last message and RESERVED: it is passed over.
        end = -(-ring.words[RESERVED] // ALIGNMENT) * ALIGNMENT
        # It may be complete, with the number that our first message gets: nothing points to it from now on.
        ring.index[ring.words[COUNT] % ring.entries] = end
        ring.words[RESERVED] = end
        ring.words[SCHEMA], ring.words[EPOCH], ring.words[PUBLISHER] = schema, epoch, pid

    def write(self, envelope: bytes, payload: bytes = b"", bells: tuple[PythonBell, ...] = ()) -> None:
        """Add one message and ring the bells; BusError when it is longer than the ring takes. Never blocks."""
        if not self._append(envelope, payload, bells):
            length = len(envelope) + len(payload)
            raise BusError(f"a message of {length} bytes is longer than its ring takes ({self._largest} bytes)")


class RingReader:
    """A reading end with a place of its own. It writes nothing, so readers are free. Not thread-safe.

    start: number of the first message to read; None starts behind the newest.
    """

    def __init__(self, ring: RingMap, start: int | None = None) -> None:
        self._records = ring.records
        self._words = ring.words
        self._index = ring.index
        self._data_bytes = ring.data_bytes
        self._entries = ring.entries
        self.next = ring.words[COUNT] if start is None else start
        """Number of the message that will be read next."""
        self.torn = 0
        """Messages that were neither overwritten nor whole: damaged memory."""
        self._untold = 0
        """Messages that were lost, and that no arrival has told of yet."""

    @property
    def count(self) -> int:
        """Messages that were ever completed in this ring."""
        return self._records.count

    @property
    def waiting(self) -> int:
        """Messages from `next` on, those included that are overwritten by now."""
        return max(0, self._records.count - self.next)

    def peek_newest(self) -> bytes | None:
        """The newest message, which stays to be taken; None where there is none, or it is being overwritten."""
        count = self.count
        return self._records.read(count - 1) if count else None

    def take_newest(self) -> Arrival | None:
        """The newest message unless it was taken before; None also when none can be read (the next arrival tells)."""
        count = self._records.count
        if count <= self.next:
            return None
        message = self._records.read(count - 1)
        if message is None:
            return self._take_newest_patiently()
        skipped, self.next = count - 1 - self.next, count
        return self._arrival(message, count - 1, skipped) if self._untold else Arrival(count - 1, skipped, 0, message)

    def _take_newest_patiently(self) -> Arrival | None:
        count = self.next
        for _ in range(LOOKS):
            count = self.count
            if count <= self.next:
                return None
            message = self._records.read(count - 1)
            if message is not None:
                skipped, self.next = count - 1 - self.next, count
                return self._arrival(message, count - 1, skipped)
        return self._give_up_newest(count)

    def _arrival(self, message: bytes, number: int, skipped: int = 0) -> Arrival:
        lost, self._untold = self._untold, 0
        return Arrival(number, skipped, lost, message)

    def _give_up_newest(self, count: int) -> Arrival | None:
        """The newest is damaged: the one before it that can be read, if any."""
        self.torn += 1
        first, self.next = self.next, count
        for index in range(count - 2, max(first, count - self._entries) - 1, -1):
            message = self._records.read(index)
            if message is not None:
                arrival = self._arrival(message, index, index - first)
                self._untold = count - 1 - index
                return arrival
        self._untold += count - first
        return None

    def take_single(self) -> Arrival | None:
        """The next message where just this one waits, the usual case; None where `take` has to look."""
        index = self.next
        message = self._records.read_newest(index)
        if message is None:
            return None
        self.next = index + 1
        return self._arrival(message, index) if self._untold else Arrival(index, 0, 0, message)

    def take(self, limit: int) -> Iterator[Arrival]:
        """The next messages in order, up to `limit` and up to what is complete now."""
        count = self.count
        while limit > 0 and self.next < count:
            run = self._records.read_run(self.next, min(count, self.next + min(limit, RUN))) or self._read_one(count)
            limit -= len(run)
            for message in run:
                self.next += 1
                yield self._arrival(message, self.next - 1)

    def _read_one(self, count: int) -> list[bytes]:
        """The next message that can be read, and `next` is its number; empty when there is none before `count`."""
        while self.next < count:
            message = self._read_patiently(self.next)
            if message is not None:
                return [message]
            lost, self.next = self.next, self._next_readable(self.next)
            self._untold += self.next - lost
        return []

    def _read_patiently(self, index: int) -> bytes | None:
        for _ in range(LOOKS):
            message = self._records.read(index)
            if message is not None or self._is_overtaken(index, 0):
                return message
        self.torn += 1
        return None

    def _is_overtaken(self, index: int, margin: int) -> bool:
        """True when message `index` is overwritten, or will be within `margin` bytes."""
        if self.count - index >= self._entries:
            return True
        return self._words[RESERVED] + margin > self._index[index % self._entries] + self._data_bytes

    def _next_readable(self, index: int) -> int:
        """The first message behind `index` that will stay for a while: a quarter of the ring is left for the reader."""
        count, margin = self.count, self._data_bytes // 4
        low, high = max(index + 1, count - self._entries + self._entries // 4), count
        while low < high:
            middle = (low + high) // 2
            if self._is_overtaken(middle, margin):
                low = middle + 1
            else:
                high = middle
        return max(low, index + 1)
