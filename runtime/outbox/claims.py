"""How a process empties the outbox: it claims complete segments by renaming them, and needs nothing else of the outbox.

    claims = Claims(outbox_dir(data_dir))
    claims.open()
    claim = claims.oldest_or_none()          # waiting -> leaving: the outbox does not evict it any more
    ... put claim.records() into the store under a name that follows from the segment ...
    claim.delivered()                        # leaving -> left: the outbox counts and removes it

A rename is one step, so whatever is killed, a segment is waiting, leaving or left, and never two of them. A claim that
its process did not live to answer is offered again, under the same name and with the same records; so is a delivered
one after a power cut. The store must therefore answer a second put of the same object with "exists".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from pathlib import Path

from cardan.runtime.clock import Clock
from cardan.runtime.disk import make_folder_durably
from cardan.runtime.errors import NodeError
from cardan.runtime.outbox.folder import Place, SegmentFile, class_dir, move, range_of_name, segments_in, stream_of
from cardan.runtime.outbox.lock import CLAIMS_LOCK, FolderLock
from cardan.runtime.outbox.segment import Record, RecordClass, Segment, SegmentHeader, read_segment

LOCK_PATIENCE_S = 1.0
"""The outbox itself holds the lock for milliseconds, when it takes over the claims of a dead process."""


class Claim:
    """One segment that is ours until it is delivered or released. Its records are in memory as long as it is."""

    def __init__(self, folder: Path, kind: RecordClass, file: SegmentFile, segment: Segment, released: deque[str]):
        if segment.header is None:
            raise NodeError(f"{file.name} has no header")
        self._folder = folder
        self._records = segment.records
        self._released = released
        self.kind = kind
        self.file = file
        self.header: SegmentHeader = segment.header
        """Vehicle, boot, stream and log of every record in it."""
        self.name = claim_name(kind, file)
        """The same whenever this segment is claimed: `trend/FIRST-LAST.sealed`."""

    @property
    def first(self) -> int:
        """Sequence number of the first record."""
        return self.file.first

    @property
    def last(self) -> int:
        """Sequence number of the last record."""
        return self.file.last

    def __len__(self) -> int:
        return len(self.file)

    def records(self) -> list[Record]:
        """All records from `first` to `last`, in order, each checked by its CRC."""
        return self._records

    def delivered(self) -> None:
        """The store has every record for good: the outbox counts and removes the segment. Call it once."""
        self._move(Place.LEFT)

    def release(self) -> None:
        """Give it back, only when the store certainly has nothing of it: from here on the outbox may evict it."""
        self._move(Place.WAITING)
        self._released.appendleft(self.file.name)

    def _move(self, there: Place) -> None:
        if not move(self._folder, self.file.name, Place.LEAVING, there):
            raise NodeError(f"{self.name} is not ours", hint="deliver or release a claim once, while Claims is open")


class Claims:
    """The claims of one process on all classes of an outbox. One thread; one process at a time (DeviceError).

    folder: of the outbox; it may be there before the outbox has ever run, and is made.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock
        self._lock: FolderLock | None = None
        self._waiting: dict[RecordClass, deque[str]] = {kind: deque() for kind in RecordClass}

    def open(self) -> None:
        """Take the claims over, and offer again what an earlier process had claimed. DeviceError: another has them."""
        make_folder_durably(self._folder)
        self._lock = FolderLock(self._folder, CLAIMS_LOCK, clock=self._clock, patience_s=LOCK_PATIENCE_S)
        for kind in RecordClass:
            folder = class_dir(self._folder, kind)
            for file in segments_in(folder, Place.LEAVING):
                move(folder, file.name, Place.LEAVING, Place.WAITING)

    def close(self) -> None:
        """Let another process claim. Claims that are still held are offered to it again."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def oldest_or_none(
        self, classes: Iterable[RecordClass] = tuple(RecordClass), besides: Collection[str] = ()
    ) -> Claim | None:
        """Claim the oldest waiting segment of the first of `classes` that has one; None when nothing waits.

        besides: names of claims that are not wanted now. A segment that cannot be read is left to the outbox, which
        sets it aside and offers what is whole of it.
        """
        if self._lock is None:
            raise NodeError("claims were used before they were opened")
        claims = (self._claim_or_none(kind, besides) for kind in classes)
        return next((claim for claim in claims if claim is not None), None)

    def _claim_or_none(self, kind: RecordClass, besides: Collection[str]) -> Claim | None:
        folder = class_dir(self._folder, kind)
        for file in self._candidates(folder, kind, besides):
            if not move(folder, file.name, Place.WAITING, Place.LEAVING):
                continue  # evicted meanwhile
            segment = _read_or_none(folder, file)
            if segment is not None:
                return Claim(folder, kind, file, segment, self._waiting[kind])
            move(folder, file.name, Place.LEAVING, Place.SUSPECT)
        return None

    def _candidates(self, folder: Path, kind: RecordClass, besides: Collection[str]) -> Iterable[SegmentFile]:
        """Files to try, oldest first. Names are kept, so that a long backlog is not listed for each claim."""
        known = self._waiting[kind]
        for listed in (False, True):
            if listed:
                known.extend(file.name for file in segments_in(folder, Place.WAITING))
            while known:
                numbers = range_of_name(known.popleft())
                if numbers is None:
                    continue
                file = SegmentFile(numbers.first, numbers.last, 0)
                if claim_name(kind, file) not in besides:
                    yield file


def claim_name(kind: RecordClass, file: SegmentFile) -> str:
    """Name of a claim: the class and the file."""
    return f"{stream_of(kind)}/{file.name}"


def _read_or_none(folder: Path, file: SegmentFile) -> Segment | None:
    """The claimed segment when every record of it is whole."""
    try:
        segment = read_segment((folder / Place.LEAVING.value / file.name).read_bytes())
    except OSError:
        return None
    records = [record for record in segment.records if file.first <= record.seq <= file.last]
    whole = segment.header is not None and len(records) == len(file)
    return Segment(segment.header, records, segment.whole_bytes, segment.damaged) if whole else None
