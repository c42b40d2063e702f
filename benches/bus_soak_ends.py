"""What is killed in bus_soak.py: publishers and readers of a ring, and the ledger that outlives them.

Payloads check themselves without the ring's own seal: each is a stretch of one table of random bytes, chosen by a salt
that stands before it together with the number that the message has to have.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from cardan.runtime.bus.ring import Arrival, RingReader, RingWriter
from cardan.runtime.bus.ring_file import open_ring
from cardan.runtime.bus.ring_layout import COUNT, largest_message
from cardan.runtime.bus.slots import SlotDescriptor, SlotMaps, SlotPool
from cardan.runtime.errors import BusError

START = struct.Struct("<QQI")
"""Number, salt, length of the payload; of a frame its descriptor follows instead of the payload."""
TABLE = random.Random(4).randbytes(1 << 20)
PIXELS = np.frombuffer(TABLE, np.uint8)
AT_ONCE = 256
IDLE_S = 0.0005
ROW = 16
"""Words of one ledger."""
NEXT, RECEIVED, SKIPPED, LOST, DROPPED = range(5)
_ACTIVE, _COPIES, _WRONG, _OVERRULED = 0, (1, 6), 11, 12


class Ledger:
    """What one reader has had, in memory that a kill leaves consistent: two copies, and which of them counts."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def load(self) -> list[int]:
        start = _COPIES[self._words[_ACTIVE]]
        return list(self._words[start : start + 5])

    def store(self, values: list[int]) -> None:
        other = 1 - self._words[_ACTIVE]
        for at, value in enumerate(values, _COPIES[other]):
            self._words[at] = value
        self._words[_ACTIVE] = other

    @property
    def wrong(self) -> int:
        """Messages that were taken for whole, or for this number, and were not."""
        return self._words[_WRONG]

    def count_wrong(self) -> None:
        self._words[_WRONG] += 1


def stretch(salt: int, length: int) -> int:
    """Where the payload of `salt` begins in the table."""
    return salt * 2_654_435_761 % (len(TABLE) - length)


def lengths(chance: random.Random) -> Iterator[int]:
    """Mostly short, some of a page, few that the ring only just takes."""
    while True:
        share = chance.random()
        yield chance.randrange(8, 200) if share < 0.98 else chance.randrange(200, 5000 if share < 0.999 else 100_000)


def write_messages(path: Path, stop: Callable[[], bool]) -> None:
    """Publish until `stop`, now in floods, now in trickles."""
    chance = random.Random()
    ring = open_ring(path, writable=True)
    writer, limit = RingWriter(ring), largest_message(ring.data_bytes) - START.size
    wanted = lengths(chance)
    while not stop():
        for _ in range(chance.choice((1, 20, 400, 400, 2000))):
            number, salt, length = ring.words[COUNT], chance.getrandbits(63), min(limit, next(wanted))
            begin = stretch(salt, length)
            writer.write(START.pack(number, salt, length) + TABLE[begin : begin + length])
        time.sleep(chance.choice((0, 0.0002, 0.0005)))


def read_messages(path: Path, ledger: Ledger, newest: bool, ended: Callable[[int], bool]) -> None:
    """Take every message, or the newest alone, going on where a predecessor was killed."""
    _follow(path, ledger, newest, ended, _is_whole)


def _is_whole(message: bytes, number: int) -> bool:
    found, salt, length = START.unpack_from(message)
    begin = stretch(salt, length)
    return found == number and message[START.size :] == TABLE[begin : begin + length]


def _follow(
    path: Path, ledger: Ledger, newest: bool, ended: Callable[[int], bool], judge: Callable[[bytes, int], bool | None]
) -> None:
    """judge: whether a message is whole; None for one that cannot be read any more, which counts as dropped."""
    values = ledger.load()
    reader = RingReader(open_ring(path), values[NEXT])
    while not ended(values[NEXT]):
        arrivals = [reader.take_newest()] if newest else list(reader.take(AT_ONCE))
        for arrival in arrivals:
            if arrival is not None:
                _enter(arrival, values, judge(arrival.message, arrival.number), ledger)
        ledger.store(values)
        if not arrivals or arrivals[-1] is None:
            time.sleep(IDLE_S)


def _enter(arrival: Arrival, values: list[int], whole: bool | None, ledger: Ledger) -> None:
    if whole is False or arrival.number - arrival.skipped - arrival.lost != values[NEXT]:
        ledger.count_wrong()
    values[NEXT] = arrival.number + 1
    values[DROPPED if whole is None else RECEIVED] += 1
    values[SKIPPED] += arrival.skipped
    values[LOST] += arrival.lost


# -------------------------------------------------------------------------------------------------------------- frames


def write_frames(path: Path, epoch: int, rows: int, lives: Callable[[int], bool], stop: Callable[[], bool]) -> None:
    """Publish frames that are filled in place, as a node does that was started for the `epoch`th time."""
    chance = random.Random()
    for stale in path.parent.glob("source.out.*"):
        stale.unlink(missing_ok=True)
    ring = open_ring(path, writable=True)
    writer = RingWriter(ring)
    pool = SlotPool(path.parent, f"source.out.{epoch}", rows=rows, lives=lives)
    while not stop():
        for _ in range(chance.choice((1, 3, 20))):
            number, salt, length = ring.words[COUNT], chance.getrandbits(63), chance.choice((9216, 9216, 65_536))
            begin = stretch(salt, length)
            array = pool.take((length,), np.dtype(np.uint8))
            array[:] = PIXELS[begin : begin + length]
            pool.seal(array)
            writer.write(START.pack(number, salt, length) + msgspec.msgpack.encode(pool.describe(array)))
        time.sleep(chance.choice((0, 0.0002, 0.001)))
    os._exit(0)  # without close: what a kill leaves behind has to be swept by others


def read_frames(path: Path, row: int, ledger: Ledger, newest: bool, ended: Callable[[int], bool]) -> None:
    """Look at every frame for as long as it is intact."""
    maps, decode = SlotMaps(path.parent, {"source.out": row}), msgspec.msgpack.Decoder(SlotDescriptor).decode

    def judge(message: bytes, number: int) -> bool | None:
        found, salt, length = START.unpack_from(message)
        descriptor = decode(message[START.size :])
        try:
            view = maps.view(descriptor)
        except BusError:
            return None
        begin = stretch(salt, length)
        same = found == number and bool((view == PIXELS[begin : begin + length]).all())
        intact = maps.intact(descriptor)
        maps.release(descriptor)
        return same if intact else None

    _follow(path, ledger, newest, ended, judge)
