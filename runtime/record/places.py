"""Where the records of a recording lie, found by their heads alone: most of a file is never read.

Record layouts: MCAP specification version 0, https://mcap.dev/spec.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from cardan.runtime.record.mcap_layout import CHUNK, MAGIC, MESSAGE_INDEX, RECORD

LARGEST_CHUNK = 256 << 20
LEAST_CHUNK = 32
"""A chunk's times, size, CRC and the length of the name of its compression."""
UNINDEXED = 100
"""So many chunks without an index are asked for channels: some 25 s."""
BLOCK_BYTES = 4 << 10
"""Read at once where heads are looked at: the indexes of a chunk and the head of the next one lie side by side."""
_TIMES = struct.Struct("<QQ")
_HEAD_BYTES = RECORD.size + _TIMES.size


class Place(NamedTuple):
    """Where a record of the top level lies; to a chunk belong the message indexes behind it."""

    opcode: int
    begin: int
    """Of its content."""
    length: int
    end: int
    """Of its message indexes."""
    first_ns: int
    last_ns: int
    announces: bool
    """A chunk that may hold the record of a channel: its indexes name one that none before it did, or it has none."""

    def overlaps(self, begin_ns: int, end_ns: int) -> bool:
        """True for a chunk with messages of that span of wall time."""
        return self.opcode == CHUNK and self.first_ns <= end_ns and self.last_ns >= begin_ns


def places(descriptor: int) -> Iterator[Place]:
    """What a file has at its top level, in order; ends at damage, and has nothing of a file that is no MCAP."""
    heads, known, unindexed = _Heads(descriptor), set[int](), 0
    at = len(MAGIC) if os.pread(descriptor, len(MAGIC), 0) == MAGIC else heads.size
    while (head := heads.head_or_none(at)) is not None:
        opcode, length, first_ns, last_ns = head
        begin, at = at + RECORD.size, at + RECORD.size + length
        if opcode != CHUNK or length < LEAST_CHUNK:
            yield Place(opcode, begin, length, at, 0, 0, False)
            continue
        at, named = heads.indexes(at)
        unindexed += not named
        announces = not named <= known if named else unindexed <= UNINDEXED
        known |= named
        yield Place(CHUNK, begin, length, at, first_ns, last_ns, announces)


class _Heads:
    """Reads the heads of records, a block of them at a time."""

    def __init__(self, descriptor: int) -> None:
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._base = 0
        self._block = b""

    def head_or_none(self, at: int) -> tuple[int, int, int, int] | None:
        """Opcode and length of the record at a place, and what would be its times; None where no whole record is."""
        offset = self._offset_of(at)
        if len(self._block) - offset < RECORD.size:
            return None
        opcode, length = RECORD.unpack_from(self._block, offset)
        if not opcode or at + RECORD.size + length > self.size or length > LARGEST_CHUNK:
            return None
        has_times = len(self._block) - offset >= _HEAD_BYTES
        first_ns, last_ns = _TIMES.unpack_from(self._block, offset + RECORD.size) if has_times else (0, 0)
        return opcode, length, first_ns, last_ns

    def indexes(self, at: int) -> tuple[int, set[int]]:
        """Where the message indexes end that begin at a place, and the channels that they name."""
        named: set[int] = set()
        while True:
            start = offset = self._offset_of(at)
            block, last = self._block, len(self._block) - RECORD.size - 2
            while offset <= last:  # most of the time for a recording goes by here
                opcode, length = RECORD.unpack_from(block, offset)
                after = offset + RECORD.size + length
                if opcode != MESSAGE_INDEX or self._base + after > self.size:
                    return self._base + offset, named
                named.add(block[offset + RECORD.size] | block[offset + RECORD.size + 1] << 8)
                offset = after
            at = self._base + offset
            if offset == start:
                return at, named

    def _offset_of(self, at: int) -> int:
        """Where a place lies in the block, which is read anew where it does not hold what may be there."""
        offset = at - self._base
        if offset + _HEAD_BYTES > len(self._block):
            self._base, self._block, offset = at, os.pread(self._descriptor, BLOCK_BYTES, at), 0
        return offset
