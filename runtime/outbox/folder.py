"""The files of a queue's folder: names carry the sequence range, so counting what waits needs no reading.

00000000000000000001.open                               being written, at most one
00000000000000000001-00000000000000000512.sealed        complete, waits to be claimed
leaving/...sealed                                       claimed by the uplink: not evicted while it lives
left/...sealed                                          the store has it: to be counted and removed
suspect/...sealed                                       the uplink could not read it: to be examined
evicting/...sealed                                      being given up
00000000000000000001-00000000000000000512.damaged       set aside, kept for a person
00000000000000000001-00000000000000000511.whole         what could be read of a damaged one, not sealed yet

A segment keeps its name while it moves between the folders, and a rename is one step: at any moment, after any kill, a
segment is in exactly one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import msgspec

from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.state import Range

OPEN, SEALED, DAMAGED, WHOLE = ".open", ".sealed", ".damaged", ".whole"


class Place(str, Enum):
    """Where a complete segment lies: the queue's folder, or a folder in it."""

    WAITING = ""
    LEAVING = "leaving"
    LEFT = "left"
    SUSPECT = "suspect"
    EVICTING = "evicting"


SCANNED = (Place.WAITING, Place.LEAVING, Place.SUSPECT, Place.LEFT, Place.EVICTING)
"""In the order in which segments move, so that one which moves meanwhile is seen twice rather than never."""


class SegmentFile(msgspec.Struct, frozen=True, order=True):
    """A complete segment: which records it holds and how large it is."""

    first: int
    last: int
    size: int

    @property
    def range(self) -> Range:
        return Range(self.first, self.last)

    @property
    def name(self) -> str:
        """Of its file, in whichever place."""
        return sealed_name(self.first, self.last)

    def __len__(self) -> int:
        return self.last - self.first + 1


class Listing(msgspec.Struct, frozen=True):
    """What lies in a queue's folder."""

    segments: dict[Place, list[SegmentFile]]
    """In sequence order. One that moved while the folder was read is only where it was seen last."""
    open: list[int]
    """First sequence number of each open segment."""
    whole: list[SegmentFile]
    damaged: list[Path]
    other_bytes: int
    """Size of everything that is not a complete segment."""

    @property
    def pending(self) -> list[SegmentFile]:
        """Complete segments that the store is not known to have, in sequence order."""
        return sorted(file for place, files in self.segments.items() if place is not Place.LEFT for file in files)


def outbox_dir(data_dir: Path) -> Path:
    """Folder of the outbox."""
    return data_dir / "outbox"


def class_dir(outbox: Path, kind: RecordClass) -> Path:
    """Folder of the queue of one class."""
    return outbox / stream_of(kind)


def stream_of(kind: RecordClass) -> str:
    """Name of a class's stream: in segments, in the store, and as a folder."""
    return kind.name.lower()


def open_path(folder: Path, first: int) -> Path:
    """Name of the segment that is being written."""
    return folder / f"{first:020d}{OPEN}"


def sealed_name(first: int, last: int) -> str:
    """Name of a complete segment's file."""
    return f"{first:020d}-{last:020d}{SEALED}"


def sealed_path(folder: Path, first: int, last: int, place: Place = Place.WAITING) -> Path:
    """Where a complete segment lies."""
    return folder / place.value / sealed_name(first, last)


def damaged_path(folder: Path, first: int, last: int) -> Path:
    """Name of a segment that is set aside."""
    return folder / f"{first:020d}-{last:020d}{DAMAGED}"


def whole_path(folder: Path, first: int, last: int) -> Path:
    """Name of what was saved from a damaged segment."""
    return folder / f"{first:020d}-{last:020d}{WHOLE}"


def range_of_name(name: str, suffix: str = SEALED) -> Range | None:
    """The sequence numbers in the name of a complete segment; None for any other name."""
    if not name.endswith(suffix):
        return None
    first, _, last = name[: -len(suffix)].partition("-")
    return Range(int(first), int(last)) if first.isdecimal() and last.isdecimal() else None


def move(folder: Path, name: str, here: Place, there: Place) -> bool:
    """Move a complete segment in one step; False when it is not `here` any more."""
    try:
        os.rename(folder / here.value / name, folder / there.value / name)
    except FileNotFoundError:
        return False
    return True


def segments_in(folder: Path, place: Place) -> list[SegmentFile]:
    """The complete segments in one place, in sequence order; empty where there is no such folder."""
    found = []
    for entry in _entries(folder / place.value):
        numbers, size = range_of_name(entry.name), _size_or_none(entry)
        if numbers is not None and size is not None:
            found.append(SegmentFile(numbers.first, numbers.last, size))
    return sorted(found)


def opened_in(folder: Path) -> list[int]:
    """First sequence number of each open segment; reads names only, so that a backlog does not matter."""
    stems = (entry.name.removesuffix(OPEN) for entry in _entries(folder) if entry.name.endswith(OPEN))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def whole_in(folder: Path) -> list[Range]:
    """What was saved from damaged segments and is not sealed yet; reads names only."""
    ranges = (range_of_name(entry.name, WHOLE) for entry in _entries(folder) if entry.name.endswith(WHOLE))
    return sorted(found for found in ranges if found is not None)


def next_first_or_none(folder: Path, first: int) -> int | None:
    """Where the segment behind `first` begins, wherever it lies; reads names only, and parses one."""
    here = f"{first:020d}"
    names = (entry.name for place in Place for entry in _entries(folder / place.value))
    later = (name[:20] for name in names if name[:20] > here and name.endswith((SEALED, OPEN)))
    found = min((name for name in later if name.isdecimal()), default=None)
    return None if found is None else int(found)


def listing(folder: Path) -> Listing:
    """What lies in `folder` now; unknown names are left alone."""
    seen: dict[str, tuple[Place, SegmentFile]] = {}
    found = Listing({place: [] for place in Place}, [], [], [], 0)
    other_bytes = _take_folder(folder, seen, found)
    for place in SCANNED[1:]:
        for file in segments_in(folder, place):
            seen[file.name] = place, file
    for place, file in seen.values():
        found.segments[place].append(file)
    for items in (*found.segments.values(), found.open, found.whole, found.damaged):
        items.sort()  # type: ignore[attr-defined]  # lists of three types, each of which has an order
    return msgspec.structs.replace(found, other_bytes=other_bytes)


def _take_folder(folder: Path, seen: dict[str, tuple[Place, SegmentFile]], found: Listing) -> int:
    """Everything in the folder itself; returns the size of what is not a complete segment."""
    other_bytes = 0
    for entry in _entries(folder):
        size = _size_or_none(entry)
        if size is None:
            continue
        numbers = range_of_name(entry.name)
        if numbers is not None:
            seen[entry.name] = Place.WAITING, SegmentFile(numbers.first, numbers.last, size)
            continue
        other_bytes += size
        whole = range_of_name(entry.name, WHOLE)
        stem, suffix = os.path.splitext(entry.name)
        if whole is not None:
            found.whole.append(SegmentFile(whole.first, whole.last, size))
        elif suffix == OPEN and stem.isdecimal():
            found.open.append(int(stem))
        elif suffix == DAMAGED and stem[0].isdecimal():
            found.damaged.append(Path(entry.path))
    return other_bytes


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What lies in a folder; nothing where there is none."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return


def _size_or_none(entry: os.DirEntry[str]) -> int | None:
    """None for a file that was removed or moved while the folder was being read, and for a folder."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except FileNotFoundError:
        return None
