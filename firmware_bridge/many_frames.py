"""Verdicts on many frames of one message at a time: those of `Definition.judge`, in a hundredth of the time each.

A checksum is looked up: what `protect` would change in a message is the exclusive or of what each of its bytes alone
changes, as with every CRC, so eight tables of 256 words hold it. Tables are tried against the protection itself before
they are used; where they do not hold (sums, floating point, more than eight bytes), frames are judged one by one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cardan.firmware_bridge.additive import AdditiveChecksum
from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.counters import Sequence as Order
from cardan.firmware_bridge.e2e import Protection
from cardan.firmware_bridge.frame_reader import BAD_CHECKSUM, FLAGGED, OK, Definition, bad_counter, is_flagged
from cardan.firmware_bridge.trust import MAX_LOST, Quality

MOST_BYTES = 8
TRIALS = 64
"""Tables are tried on so many random messages, as many intact ones, and those with one bit the other way round."""

Bytes = NDArray[np.uint8]
"""(n, 8): the data of n frames, filled up with zeros."""
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]


class ManyJudge:
    """Judges the frames of one message in the order of the bus, batch by batch."""

    def __init__(self, definition: Definition) -> None:
        codec = definition.codec
        self._codec = codec
        self._intact = _intact_of(codec)
        self._counter = _table_of(codec.counter, codec.length) if codec.modulus else None
        self._flag = _flag_of(codec, definition.quality)
        self._last: int | None = None

    @staticmethod
    def of(definition: Definition) -> ManyJudge | None:
        """None where the frames have to be judged one by one."""
        if definition.codec.length > MOST_BYTES:
            return None
        try:
            return ManyJudge(definition)
        except _NoTable:
            return None

    def judge(self, data: Bytes) -> Counter[str]:
        """How many frames got each verdict. Each of them has the message's length."""
        found: Counter[str] = Counter()
        intact = self._intact(data)
        found[BAD_CHECKSUM] = len(data) - int(intact.sum())
        data = data[intact]
        good = self._in_sequence(data, found)
        if self._flag is not None:
            flagged = self._flag(data) & good
            found[FLAGGED] = int(flagged.sum())
            good &= ~flagged
        checked = self._counter is not None or self._codec.protection is not None
        found[OK if checked else ""] = int(good.sum())
        return +found

    def _in_sequence(self, data: Bytes, found: Counter[str]) -> Flags:
        """Which frames have a counter that goes on from the one before; the others are counted."""
        good: Flags = np.ones(len(data), np.bool_)
        if self._counter is None or not len(data):
            return good
        counters = _looked_up(self._counter, data).astype(np.int64)
        first = int(counters[0]) - 1 if self._last is None else self._last
        steps = np.diff(counters, prepend=first) % self._codec.modulus
        self._last = int(counters[-1])
        for order, those in ((Order.REPEATED, steps == 0), (Order.WRONG, steps > MAX_LOST + 1)):
            found[bad_counter(order)] = int(those.sum())
            good &= ~those
        return good


class _NoTable(Exception):
    """What was asked for cannot be looked up byte by byte."""


_Table = list[tuple[int, Words]]
"""Place of a byte -> what each of its 256 values contributes; bytes without influence are left out."""


def _looked_up(table: _Table, data: Bytes) -> Words:
    words: Words = np.zeros(len(data), np.uint64)
    for place, contributions in table:
        words ^= contributions[data[:, place]]
    return words


def _table_of(function: Callable[[bytes], int], length: int) -> _Table:
    """`function` of messages of `length` bytes as contributions of single bytes; _NoTable when it is something else."""
    nothing = function(bytes(length))
    table: _Table = []
    for place in range(length):
        head, tail = bytes(place), bytes(length - place - 1)
        alone = [function(head + bytes((value,)) + tail) for value in range(256)]
        words = np.array(alone, np.uint64) ^ np.uint64(nothing if place else 0)
        if words.any():
            table.append((place, words))
    _try(lambda data: _looked_up(table, data), function, length, [])
    return table


def _intact_of(codec: MessageCodec) -> Callable[[Bytes], Flags]:
    """Which frames have the checksum that their bytes demand."""
    protection, length = codec.protection, codec.length
    if protection is None:
        return lambda data: np.ones(len(data), np.bool_)
    found: Callable[[Bytes], Flags]
    if isinstance(protection, AdditiveChecksum):
        nothing = _changes(protection, bytes(length))
        start = nothing >> 8 * (length - 1)

        def found(data: Bytes) -> Flags:
            sums = data[:, : length - 1].sum(axis=1, dtype=np.uint32) + start & 0xFF
            right: Flags = sums == data[:, length - 1]
            return right

    else:
        table = _table_of(lambda data: _changes(protection, data), length)
        counters = _table_of(protection.counter, length)
        end = np.uint64(protection.modulus or 1 << 63)

        def found(data: Bytes) -> Flags:
            right: Flags = (_looked_up(table, data) == 0) & (_looked_up(counters, data) < end)
            return right

    _try(found, protection.matches, length, _protected(protection, length))
    return found


def _changes(protection: Protection, data: bytes) -> int:
    """What `protect` would change in the message, as a number; 0 in an intact one."""
    whole = bytearray(data)
    protection.protect(whole, protection.counter(data))
    return int.from_bytes(whole, "little") ^ int.from_bytes(data, "little")


def _protected(protection: Protection, length: int) -> list[bytes]:
    """Intact messages, and the same with one bit the other way round."""
    rng, found = random.Random(1), []
    for number in range(TRIALS):
        message = bytearray(rng.randbytes(length))
        protection.protect(message, number % (protection.modulus or 1))
        found.append(bytes(message))
        message[rng.randrange(length)] ^= 1 << rng.randrange(8)
        found.append(bytes(message))
    return found


def _try(
    many: Callable[[Bytes], NDArray[np.generic]], one: Callable[[bytes], object], length: int, messages: list[bytes]
) -> None:
    """_NoTable unless both say the same of random messages, and of these."""
    rng = random.Random(2)
    every = [*messages, *(rng.randbytes(length) for _ in range(TRIALS))]
    if many(in_rows(every)).tolist() != [one(message) for message in every]:
        raise _NoTable


def in_rows(messages: Sequence[bytes]) -> Bytes:
    """The data of frames, one a row: their first eight bytes, filled up with zeros."""
    whole = b"".join(messages)
    if len(whole) != MOST_BYTES * len(messages) or {*map(len, messages)} != {MOST_BYTES}:
        whole = b"".join([message[:MOST_BYTES].ljust(MOST_BYTES, b"\0") for message in messages])
    return np.frombuffer(whole, np.uint8).reshape(-1, MOST_BYTES)


def _flag_of(codec: MessageCodec, quality: Quality | None) -> Callable[[Bytes], Flags] | None:
    """Which frames their sender calls invalid; None where it never does."""
    signal = codec.signals.get(quality.signal) if quality is not None else None
    if quality is None or signal is None:
        return None
    if signal.multiplexer:
        raise _NoTable
    order, unused = (">u8", 8 * (MOST_BYTES - codec.length)) if signal.big_endian else ("<u8", 0)
    shift, mask = np.uint64(signal.shift + unused), np.uint64(signal.mask)

    def flagged(data: Bytes) -> Flags:
        whole = np.ascontiguousarray(data).view(order)[:, 0].astype(np.uint64)
        bits, which = np.unique(whole >> shift & mask, return_inverse=True)
        bad = [is_flagged(signal.to_physical(int(value)), quality) for value in bits]
        return np.array(bad, np.bool_)[which]

    return flagged
