"""What lies in an outbox, read from outside: segments with their boots, and whether every byte is what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from cardan.runtime.outbox.folder import (
    DAMAGED,
    class_dir,
    listing,
    open_path,
    range_of_name,
    sealed_path,
    stream_of,
    whole_path,
)
from cardan.runtime.outbox.ledger import Ledger, read_ledger_or_none
from cardan.runtime.outbox.recovery import read_whatever
from cardan.runtime.outbox.segment import Record, RecordClass, Segment, SegmentHeader, read_header
from cardan.runtime.outbox.state import read_state_or_none

HEADER_BYTES = 4096
"""A header with its copy is shorter."""


class BootRow(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one class and one boot: `first` to `last` were acknowledged, `waiting` of them are still here."""

    boot: str
    first: int
    last: int
    waiting: int


class SegmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file of one class."""

    stream: str
    place: str
    """waiting, leaving, left, suspect, evicting, open, whole or damaged."""
    first: int
    last: int
    bytes: int
    vehicle: str
    boot: str
    log: str
    path: str


class ClassSurvey(msgspec.Struct, frozen=True, kw_only=True):
    """One class: its account, and what is known by boot."""

    stream: str
    ledger: Ledger
    exact: bool
    bytes: int
    boots: list[BootRow]
    damaged_files: int


def survey(outbox: Path) -> list[ClassSurvey]:
    """Every class that has a queue; reads names and headers, not records."""
    return [found for kind in RecordClass if (found := _class_or_none(outbox, kind)) is not None]


def _class_or_none(outbox: Path, kind: RecordClass) -> ClassSurvey | None:
    folder = class_dir(outbox, kind)
    ledger, state = read_ledger_or_none(folder), read_state_or_none(folder)
    if ledger is None or state is None:
        return None
    found = listing(folder)
    size = sum(file.size for files in found.segments.values() for file in files) + found.other_bytes
    ends = [boot.first - 1 for boot in state.boots[1:]] + [ledger.produced]
    waiting = [(file.first, file.last) for file in found.pending] + [
        (first, ledger.produced) for first in found.open if first <= ledger.produced
    ]
    boots = [
        BootRow(boot=boot.id, first=boot.first, last=last, waiting=_within(waiting, boot.first, last))
        for boot, last in zip(state.boots, ends, strict=False)  # a state that knows no boot has one end all the same
    ]
    return ClassSurvey(
        stream=stream_of(kind),
        ledger=ledger,
        exact=ledger.exact,
        bytes=size,
        boots=boots,
        damaged_files=len(found.damaged),
    )


def _within(ranges: list[tuple[int, int]], first: int, last: int) -> int:
    return sum(max(0, min(last, end) - max(first, start) + 1) for start, end in ranges)


def segments(outbox: Path, kinds: tuple[RecordClass, ...] = tuple(RecordClass)) -> Iterator[SegmentRow]:
    """Every file with records, by class and number; reads names and headers."""
    for kind in kinds:
        folder = class_dir(outbox, kind)
        found = listing(folder)
        rows = [
            (file.first, file.last, place.value or "waiting", sealed_path(folder, file.first, file.last, place))
            for place, files in found.segments.items()
            for file in files
        ]
        rows += [(first, 0, "open", open_path(folder, first)) for first in found.open]
        rows += [(file.first, file.last, "whole", whole_path(folder, file.first, file.last)) for file in found.whole]
        for path in found.damaged:
            numbers = range_of_name(path.name, DAMAGED)
            rows += [] if numbers is None else [(numbers.first, numbers.last, "damaged", path)]
        for first, last, place, path in sorted(rows):
            row = _row_or_none(kind, first, last, place, path)
            if row is not None:
                yield row


def _row_or_none(kind: RecordClass, first: int, last: int, place: str, path: Path) -> SegmentRow | None:
    """None for a file that is gone meanwhile."""
    try:
        with path.open("rb") as file:
            header = read_header(file.read(HEADER_BYTES))
        size = path.stat().st_size
    except OSError:
        return None
    header = header or SegmentHeader(vehicle="?", boot="?", stream=stream_of(kind), log="?")
    return SegmentRow(
        stream=stream_of(kind),
        place=place,
        first=first,
        last=last,
        bytes=size,
        vehicle=header.vehicle,
        boot=header.boot,
        log=header.log,
        path=str(path),
    )


def read_rows(rows: Iterator[SegmentRow]) -> Iterator[tuple[SegmentRow, Segment]]:
    """Each file with everything whole in it; one that is gone meanwhile is left out."""
    for row in rows:
        try:
            yield row, read_whatever(Path(row.path))
        except FileNotFoundError:
            continue


def flaws(row: SegmentRow, segment: Segment) -> str:
    """What is wrong with a file; empty when it is what its name says. A torn end of an open segment is no flaw."""
    if row.place == "damaged":
        return ""
    if segment.header is None:
        return "its header cannot be read" if segment.damaged or row.place != "open" else ""
    if row.place == "open":
        return "records in the middle cannot be read" if segment.damaged else ""
    count = len(records_of(row, segment))
    missing = row.last - row.first + 1 - count
    return f"{missing} of {row.last - row.first + 1} records cannot be read" if missing else ""


def records_of(row: SegmentRow, segment: Segment) -> list[Record]:
    """The records that belong to this file, by its name."""
    last = row.last or max((record.seq for record in segment.records), default=0)
    return [record for record in segment.records if row.first <= record.seq <= last]
