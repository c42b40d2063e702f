"""Who has put records through the door, and up to which of its numbers: so that repeating a put adds nothing.

A producer numbers its records from 1 without gaps; each record on disk carries both, and this table keeps the highest
of each producer. It is written before a segment that has news of a producer is sealed, so after a kill the table and
the open segment together know all. Numbers below the highest that are not on the disk (a torn write) are its holes:
they were never acknowledged, and are taken when they come again.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from cardan.runtime.disk import write_durably
from cardan.runtime.outbox.segment import Record

TABLE_NAME = "producers"
MOST_PRODUCERS = 256
"""The one that was silent for the longest time is forgotten when there are more."""
MOST_HOLES = 1024


class Standing(msgspec.Struct, kw_only=True):
    """One producer."""

    name: str
    id: int
    highest: int = 0
    """All its numbers up to here are on the disk, except the holes."""
    holes: list[int] = []


class ProducerTable:
    """The producers of one queue."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / TABLE_NAME
        self._known: dict[int, Standing] = {}
        self._changed = False

    def load(self) -> None:
        """Read it; an unreadable one is set aside, and what the open segment says is all that is known."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return
        crc, _, body = text.partition(b" ")
        try:
            if int(crc, 16) != zlib.crc32(body):
                raise ValueError("wrong checksum")
            rows = msgspec.json.decode(body, type=list[Standing])
        except (ValueError, msgspec.MsgspecError):
            os.replace(self._path, self._path.with_name(f"{TABLE_NAME}.damaged"))
            return
        self._known = {row.id: row for row in rows}

    def save(self) -> None:
        """Make it durable, if something has changed."""
        if self._changed:
            body = msgspec.json.encode(list(self._known.values()))
            write_durably(self._path, b"%08x %s" % (zlib.crc32(body), body))
            self._changed = False

    def row(self, producer: int) -> Standing:
        """What is known of a producer by its id."""
        return self._known[producer]

    def standing(self, name: str, in_use: Collection[int] = ()) -> Standing:
        """What is known of a producer; a new one is written down durably before it is told.

        in_use: ids that must not be forgotten to make room.
        """
        for row in self._known.values():
            if row.name == name:
                self._known[row.id] = self._known.pop(row.id)  # the last one that was heard of
                return row
        while len(self._known) >= MOST_PRODUCERS:
            del self._known[next(known for known in self._known if known not in in_use)]
        row = Standing(name=name, id=max(self._known, default=0) + 1)
        self._known[row.id] = row
        self._changed = True
        self.save()
        return row

    def kept(self, producer: int, number: int, count: int) -> None:
        """So many records of a producer are on the disk, from this number on. An unknown one is nobody's business."""
        row = self._known.get(producer)
        if row is None:
            return
        self._changed = True
        row.highest = max(row.highest, number + count - 1)
        if row.holes:
            row.holes = [hole for hole in row.holes if not number <= hole < number + count]

    def recovered(self, records: Iterable[Record]) -> None:
        """These records were found in a segment that was still open; what is missing between them are holes."""
        found: dict[int, set[int]] = {}
        for record in records:
            if record.producer in self._known:
                found.setdefault(record.producer, set()).add(record.number)
        for producer, numbers in found.items():
            row = self._known[producer]
            missing = set(range(row.highest + 1, max(numbers) + 1)) | set(row.holes)
            row.holes = sorted(missing - numbers)[-MOST_HOLES:]
            row.highest = max(row.highest, *numbers)
            self._changed = True
