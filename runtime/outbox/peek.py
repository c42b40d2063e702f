"""Look at the records of one class without taking them: for who tells them elsewhere at once, beside the uplink.

Nothing is locked and nothing is moved. A record may be gone when it is looked for (the store has it, or it was
evicted); whoever looks sees that by its sequence number.
"""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.outbox.folder import SCANNED, Place, listing, open_path, sealed_path, segments_in
from cardan.runtime.outbox.segment import Record, Segment, read_segment
from cardan.runtime.outbox.synced import read_synced

MOST_RECORDS = 256


class Peek:
    """Reads on in one queue's folder. One thread. beside: a folder with links to its complete segments."""

    def __init__(self, folder: Path, beside: Path | None = None) -> None:
        self._folder = folder
        self._beside = beside
        self._in_vain: tuple[Path, int, int, int] | None = None
        self.log = ""
        """Of the queue, once something was found."""

    def after(self, seq: int) -> list[Record]:
        """The oldest records above `seq` that are there, at most MOST_RECORDS; the whole ones of a damaged segment."""
        found = listing(self._folder)
        files = {file for files in found.segments.values() for file in files}
        if self._beside is not None:
            files.update(segments_in(self._beside, Place.WAITING))
        for file in sorted(files):
            if file.last > seq and (records := self._after(seq, self._sealed_or_none(file.first, file.last))):
                return records
        for first in found.open:
            if records := self._after_in_open(seq, open_path(self._folder, first)):
                return records
        return []

    def _sealed_or_none(self, first: int, last: int) -> Segment | None:
        """It may move while we look: along the places in which segments move."""
        paths = [sealed_path(self._folder, first, last, place) for place in SCANNED]
        if self._beside is not None:
            paths.append(sealed_path(self._beside, first, last))
        return next((segment for path in paths if (segment := _read_or_none(path)) is not None), None)

    def _after(self, seq: int, segment: Segment | None) -> list[Record]:
        if segment is None or segment.header is None:
            return []
        self.log = segment.header.log
        return [record for record in segment.records if record.seq > seq][:MOST_RECORDS]

    def _after_in_open(self, seq: int, path: Path) -> list[Record]:
        """Only what is on the disk. A segment in which there was nothing is not read again before it has grown."""
        try:
            asked = path, path.stat().st_size, read_synced(self._folder), seq
        except FileNotFoundError:
            return []
        if asked == self._in_vain:
            return []
        synced = read_synced(self._folder)
        records = [record for record in self._after(seq, _read_or_none(path)) if record.seq <= synced]
        self._in_vain = None if records else asked
        return records


def _read_or_none(path: Path) -> Segment | None:
    try:
        return read_segment(path.read_bytes())
    except OSError:
        return None
