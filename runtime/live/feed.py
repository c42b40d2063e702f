"""What of one class has been told: records go out in order, answers come in any order, a position stays behind them.

Everything up to the position is told for good, or was passed by with a reason that is counted. What was on its way when
a connection ended goes out again under the same sequence number, so that a receiver recognises it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from cardan.runtime.outbox.segment import Record


class Counts(msgspec.Struct, kw_only=True):
    """Of records, since the position began."""

    told: int = 0
    gone: int = 0
    """No longer in the outbox when their turn came: the store has them, or they were evicted."""
    withheld: int = 0
    """Their consent was withdrawn."""
    refused: int = 0
    """The broker takes no such message, ever."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where one class stands, as kept on disk."""

    log: str = ""
    """Of the queue; in another queue the position begins anew."""
    seq: int = 0
    counts: Counts = msgspec.field(default_factory=Counts)


class Waiting(NamedTuple):
    """Records of one log that wait, oldest first."""

    log: str
    records: list[Record]


Source = Callable[[int], Waiting]
"""The next records whose sequence number is higher than this."""


class Feed:
    """Takes records of one class from the outbox until they are told. No clock, no I/O but `source`."""

    def __init__(self, source: Source, position: Position) -> None:
        self._source = source
        self._log = position.log
        self._highest = position.seq
        self._read: deque[Record] = deque()
        self._again: list[Record] = []
        self._on_the_way: dict[int, Record] = {}
        self.counts = msgspec.structs.replace(position.counts)

    @property
    def position(self) -> Position:
        """What may be kept: everything up to here is over."""
        open_records = [*self._on_the_way.values(), *self._again, *list(self._read)[:1]]
        seq = min((record.seq for record in open_records), default=self._highest + 1) - 1
        return Position(log=self._log, seq=seq, counts=msgspec.structs.replace(self.counts))

    @property
    def log(self) -> str:
        """Of the queue whose records these are."""
        return self._log

    def next_or_none(self) -> Record | None:
        """The record that should go out next; it stays the next one until `sent` or `withhold`."""
        if self._again:
            return self._again[0]
        if not self._read:
            self._fetch()
        return self._read[0] if self._read else None

    def sent(self, record: Record) -> None:
        """The next record is on its way."""
        self._take()
        self._on_the_way[record.seq] = record

    def withhold(self) -> None:
        """The next record must not leave."""
        self._take()
        self.counts.withheld += 1

    def told(self, seq: int) -> None:
        """The broker has it."""
        if self._on_the_way.pop(seq, None) is not None:
            self.counts.told += 1

    def refused(self, seq: int, *, for_good: bool) -> None:
        """The broker does not take it: for good, or it is to go out again."""
        record = self._on_the_way.pop(seq, None)
        if record is None:
            return
        if for_good:
            self.counts.refused += 1
        else:
            self._go_out_again([record])

    def connection_lost(self) -> None:
        """What is on its way goes out again."""
        records = list(self._on_the_way.values())
        self._on_the_way.clear()
        self._go_out_again(records)

    def _go_out_again(self, records: list[Record]) -> None:
        self._again = sorted([*self._again, *records], key=lambda record: record.seq)

    def _take(self) -> None:
        if self._again:
            del self._again[0]
        else:
            self._read.popleft()

    def _fetch(self) -> None:
        found = self._source(self._highest)
        if found.log and found.log != self._log:
            self._log, self._highest = found.log, 0
            self._again.clear()
            self._on_the_way.clear()
            found = self._source(0)
        for record in found.records:
            self.counts.gone += record.seq - self._highest - 1
            self._highest = record.seq
        self._read.extend(found.records)
