"""The files of a queue's folder: names carry the sequence range, so counting what waits needs no reading.

00000000000000000001.open                               being written, at most one
00000000000000000001-00000000000000000512.sealed        complete, waits for delivery
00000000000000000001-00000000000000000512.damaged       set aside, kept for a person
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cardan.runtime.uplink.state import Range

OPEN, SEALED, DAMAGED = ".open", ".sealed", ".damaged"


class SegmentFile(msgspec.Struct, frozen=True, order=True):
    """A sealed segment: which records it holds and how large it is."""

    first: int
    last: int
    size: int

    @property
    def range(self) -> Range:
        return Range(self.first, self.last)

    def __len__(self) -> int:
        return self.last - self.first + 1


class Listing(msgspec.Struct, frozen=True):
    """What lies in a queue's folder."""

    sealed: list[SegmentFile]
    """In sequence order."""
    open: list[int]
    """First sequence number of each open segment."""
    damaged: list[Path]
    other_bytes: int
    """Size of everything that is not sealed."""


def open_path(folder: Path, first: int) -> Path:
    """Name of the segment that is being written."""
    return folder / f"{first:020d}{OPEN}"


def sealed_path(folder: Path, first: int, last: int) -> Path:
    """Name of a complete segment."""
    return folder / f"{first:020d}-{last:020d}{SEALED}"


def damaged_path(folder: Path, first: int, last: int) -> Path:
    """Name of a segment that is set aside."""
    return folder / f"{first:020d}-{last:020d}{DAMAGED}"


def listing(folder: Path) -> Listing:
    """What lies in `folder` now; unknown names are left alone."""
    found = Listing([], [], [], 0)
    other_bytes = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            size = _size_or_none(entry)
            if size is None:
                continue
            stem, suffix = os.path.splitext(entry.name)
            numbers = stem.split("-")
            if suffix == SEALED and _are_numbers(numbers, 2):
                found.sealed.append(SegmentFile(int(numbers[0]), int(numbers[1]), size))
                continue
            other_bytes += size
            if suffix == OPEN and _are_numbers(numbers, 1):
                found.open.append(int(stem))
            elif suffix == DAMAGED and stem[0].isdecimal():
                found.damaged.append(Path(entry.path))
    return Listing(sorted(found.sealed), sorted(found.open), sorted(found.damaged), other_bytes)


def _size_or_none(entry: os.DirEntry[str]) -> int | None:
    """None for a file that was removed while the folder was being read, and for a folder."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except FileNotFoundError:
        return None


def _are_numbers(parts: list[str], count: int) -> bool:
    return len(parts) == count and all(part.isdecimal() for part in parts)
