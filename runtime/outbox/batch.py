"""What waits for the next commit: records as they will lie on the disk, and whose numbers they carry.

A record is encoded once, when it comes: an outbox spends most of its time in that loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec
from zlib_ng.zlib_ng import crc32

from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.segment import BODY, FRONT, MARKER, ClockQuality, RecordClass, seed_of


class Run(msgspec.Struct):
    """Records one behind the other with contiguous numbers of one producer, from `number` on."""

    producer: int
    """0: the outbox itself, which numbers nothing."""
    number: int
    count: int

    def split(self, count: int) -> Run:
        """Its first `count` records, which it loses."""
        first = Run(self.producer, self.number, count)
        self.number += count if self.producer else 0
        self.count -= count
        return first

    def goes_on(self, producer: int, number: int) -> bool:
        """Whether this number comes behind it."""
        return producer == self.producer and (not producer or number == self.number + self.count)


class Batch:
    """Records in order. log: of the queue, whose name is in every CRC. longest: bytes of one payload."""

    def __init__(self, log: str, longest: int) -> None:
        self._seed = seed_of(log)
        self._longest = longest
        self._pieces: list[bytes] = []
        self._runs: deque[Run] = deque()
        self.bytes = 0
        """As they will lie on the disk."""

    def __len__(self) -> int:
        return len(self._pieces)

    def add(
        self,
        records: Iterable[PutRecord],
        *,
        seq: int,
        kind: RecordClass,
        quality: ClockQuality,
        producer: int,
        number: int,
    ) -> None:
        """Take records under sequence numbers from `seq` on, and `number` on of their producer.

        ValueError for a payload that is too long. Neither that one nor what is behind it is taken then, nor what is
        behind an error that `records` raises.
        """
        before, step, own = len(self._pieces), int(producer > 0), number
        class_number, quality_number, seed, longest = int(kind), int(quality), self._seed, self._longest
        keep, pack_front, pack_body = self._pieces.append, FRONT.pack, BODY.pack
        try:
            for record in records:
                payload = record.payload
                length = len(payload)
                if length > longest:
                    raise ValueError(f"a record of {length} bytes is longer than a segment")
                body = (
                    pack_body(seq, record.mono_ns, record.wall_ns, class_number, quality_number, producer, own)
                    + payload
                )
                keep(pack_front(MARKER, length, crc32(body, seed)) + body)
                seq += 1
                own += step
        finally:
            self._took(before, producer, number)

    def _took(self, before: int, producer: int, number: int) -> None:
        new = self._pieces[before:]
        self.bytes += sum(map(len, new))
        if new and self._runs and self._runs[-1].goes_on(producer, number):
            self._runs[-1].count += len(new)
        elif new:
            self._runs.append(Run(producer, number, len(new)))

    def piece(self, size: int) -> tuple[int, bytes]:
        """How many records together have `size` bytes or just more (all, where they have less), and their bytes."""
        if self.bytes <= size:
            return len(self._pieces), b"".join(self._pieces)
        total = count = 0
        while total < size:
            total += len(self._pieces[count])
            count += 1
        return count, b"".join(self._pieces[:count])

    def drop(self, count: int) -> list[Run]:
        """Forget the first records; tells whose they were."""
        self.bytes -= sum(map(len, self._pieces[:count]))
        del self._pieces[:count]
        runs: list[Run] = []
        while count:
            run = self._runs[0]
            runs.append(run.split(count) if run.count > count else self._runs.popleft())
            count -= runs[-1].count
        return runs
