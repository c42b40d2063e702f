"""What is not told yet is held by links of our own: the store may take it, and the outbox remove it, meanwhile.

A link costs no copy, and the outbox does not wait for a broker that is away. Bounded in bytes: of too much the oldest
go, and are counted as gone when their turn comes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from cardan.runtime.live.feed import Position
from cardan.runtime.outbox.folder import SCANNED, Place, SegmentFile, listing, segments_in
from cardan.runtime.outbox.segment import SegmentHeader, read_segment

HEAD_BYTES = 4096


class Backlog:
    """Links to the complete segments of one queue. One thread. A file system without links holds nothing.

    queue: its folder. own: where the links lie, on the same file system.
    """

    def __init__(self, queue: Path, own: Path, most_bytes: int) -> None:
        self._queue = queue
        self._own = own
        self._most_bytes = most_bytes
        self._consented: frozenset[str] | None = None
        self._given_up: set[str] = set()
        self._log = ""

    def keep_up(self, position: Position, consented: frozenset[str]) -> None:
        """Hold what is above the position, let go of the rest, and of what was kept for more than is consented to now.

        OSError of the disk passes through.
        """
        held = self._let_go(position, consented)
        complete = [file for files in listing(self._queue).segments.values() for file in files]
        self._given_up &= {file.name for file in complete}
        for file in complete:
            if file.name not in held and file.name not in self._given_up and self._link(file, position, consented):
                held[file.name] = file
        self._trim(sorted(held.values()))

    def _let_go(self, position: Position, consented: frozenset[str]) -> dict[str, SegmentFile]:
        """Remove what need or may not be held any more; what is left, by name."""
        held = {file.name: file for file in segments_in(self._own, Place.WAITING)}
        changed, self._consented = consented != self._consented, consented
        for file in list(held.values()):
            header = self._header_or_none(self._own, file) if changed else None
            if self._is_told(file, self._log, position) or (changed and not _may_be_held(header, consented)):
                self._remove(file)
                del held[file.name]
            elif header is not None:
                self._log = header.log
        return held

    def _link(self, file: SegmentFile, position: Position, consented: frozenset[str]) -> bool:
        """False when it is told or gone, may not be held, or cannot be linked here."""
        for place in SCANNED:
            folder = self._queue / place.value
            header = self._header_or_none(folder, file)
            if header is None or not _may_be_held(header, consented) or self._is_told(file, header.log, position):
                continue
            if header.log != self._log:
                self._begin_anew(header.log)
            self._own.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):
                os.link(folder / file.name, self._own / file.name)
                return True
        return False

    def _begin_anew(self, log: str) -> None:
        """Another queue: its numbers mean other records."""
        self._log = log
        for file in segments_in(self._own, Place.WAITING):
            self._remove(file)

    def _is_told(self, file: SegmentFile, log: str, position: Position) -> bool:
        return log == position.log and file.last <= position.seq

    def _header_or_none(self, folder: Path, file: SegmentFile) -> SegmentHeader | None:
        try:
            with (folder / file.name).open("rb") as opened:
                return read_segment(opened.read(HEAD_BYTES)).header
        except OSError:
            return None

    def _trim(self, held: list[SegmentFile]) -> None:
        excess = sum(file.size for file in held) - self._most_bytes
        for file in held:
            if excess <= 0:
                return
            self._remove(file)
            self._given_up.add(file.name)
            excess -= file.size

    def _remove(self, file: SegmentFile) -> None:
        (self._own / file.name).unlink(missing_ok=True)


def _may_be_held(header: SegmentHeader | None, consented: frozenset[str]) -> bool:
    return header is not None and frozenset(header.purposes) <= consented
