"""The durable queue: what was acknowledged is delivered, kept, or reported as given up; never lost in silence.

Records are appended to a segment file and acknowledged by `commit`, after one fdatasync for all of them. A segment is
sealed at a size; sealed segments are claimed by another process (`claims`), and `collect` counts and removes those that
it has delivered. When the queue is full the oldest go that nobody has claimed. Start-up reads names and the last
segment only, so it does not depend on what waits. No bus, no clock, no threads.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.disk import make_folder_durably, sync_folder
from cardan.runtime.errors import ConfigError
from cardan.runtime.outbox.batch import Batch
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.folder import (
    Listing,
    Place,
    SegmentFile,
    listing,
    move,
    opened_in,
    sealed_path,
    segments_in,
)
from cardan.runtime.outbox.ledger import Ledger, ledger_of
from cardan.runtime.outbox.lock import CLAIMS_LOCK, FolderLock, lock_or_none
from cardan.runtime.outbox.open_segment import OpenSegment
from cardan.runtime.outbox.producers import ProducerTable
from cardan.runtime.outbox.recovery import examine, records_of_open, recover
from cardan.runtime.outbox.segment import (
    ClockQuality,
    RecordClass,
    SegmentHeader,
    header_bytes,
)
from cardan.runtime.outbox.state import MOST_RANGES, Eviction, with_boot, with_eviction, write_state
from cardan.runtime.outbox.synced import SyncedMark


class QueueLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes in bytes."""

    max_bytes: int = 256 << 20
    """For everything in the queue's folder; the oldest sealed segments go first."""
    segment_bytes: int = 1 << 20
    """A segment is sealed when it is larger."""


class Queue:
    """One log of records in one folder, between `open` and `close`. Not for two threads.

    Segments may be claimed by one other process meanwhile, see `Claims`.

    Errors of the disk (OSError) pass through; a commit that raises has acknowledged nothing.
    vehicle, boot, stream: written into every segment, see SegmentHeader.
    """

    def __init__(self, folder: Path, *, vehicle: str, boot: str, stream: str, limits: QueueLimits) -> None:
        if limits.max_bytes < 4 * limits.segment_bytes:
            raise ConfigError(
                f"a queue of {limits.max_bytes} bytes cannot hold four segments of {limits.segment_bytes} bytes",
                hint="make max_bytes larger",
            )
        self.folder = folder
        self._limits = limits
        self._origin = (vehicle, boot, stream)
        self._telling = 0
        self._waiting: dict[str, SegmentFile] = {}
        self._unsynced: set[Path] = set()
        self._segment: OpenSegment | None = None
        self._lock: FolderLock | None = None
        self._mark: SyncedMark | None = None
        self.producers = ProducerTable(folder)

    def open(self) -> None:
        """Lock the folder and recover what an earlier process left. DeviceError when another process has it."""
        make_folder_durably(self.folder)
        self._lock = FolderLock(self.folder)
        for place in Place:
            make_folder_durably(self.folder / place.value)
        self._recover_producers()
        self._state, found = recover(self.folder)
        self._take_listing(found)
        self._batch = Batch(self._state.log, self._limits.segment_bytes)
        self._acknowledged = self._state.high
        boots = with_boot(self._state.boots, self._origin[1], self._acknowledged + 1)
        if boots != self._state.boots:
            self._state = write_state(self.folder, msgspec.structs.replace(self._state, boots=boots))
        self._mark = SyncedMark(self.folder)
        self._mark.write(self._acknowledged)
        vehicle, boot, stream = self._origin
        self._header = SegmentHeader(vehicle=vehicle, boot=boot, stream=stream, log=self._state.log)
        self._header_bytes = header_bytes(self._header)

    def _recover_producers(self) -> None:
        """Learn from the segments that were left open before they are sealed."""
        self.producers.load()
        for first in opened_in(self.folder):
            self.producers.recovered(records_of_open(self.folder, first))
        self.producers.save()

    def close(self) -> None:
        """Seal what is committed and give the folder back. What was appended but not committed is gone."""
        if self._lock is None:
            return
        try:
            self.seal()
        finally:
            self.release()

    def release(self) -> None:
        """Give the folder back as it is; also after an `open` that failed half-way."""
        if self._mark is not None:
            self._mark.close()
        if self._lock is not None:
            self._lock.release()
        self._mark = self._lock = None

    # ------------------------------------------------------------------------------------------------------ producers

    def keep_under(self, policy: str, purposes: tuple[str, ...]) -> None:
        """From here on records are kept under this policy: what was appended before is committed under the old one."""
        if self.is_kept_under(policy, purposes):
            return
        self.commit()
        self.seal()
        self._header = msgspec.structs.replace(self._header, policy=policy, purposes=purposes)
        self._header_bytes = header_bytes(self._header)

    def is_kept_under(self, policy: str, purposes: tuple[str, ...]) -> bool:
        """Whether records are kept under this policy already."""
        return (self._header.policy, self._header.purposes) == (policy, purposes)

    def append(
        self,
        payload: bytes,
        *,
        kind: RecordClass,
        mono_ns: int,
        wall_ns: int,
        quality: ClockQuality = ClockQuality.FREE,
        producer: int = 0,
        number: int = 0,
    ) -> int:
        """Take one record; returns its sequence number. Nothing is durable before `commit`.

        payload: a JSON object, since a store gets JSON Lines. ValueError when it is longer than a segment.
        """
        record = PutRecord(mono_ns, wall_ns, payload)
        return self.append_many([record], kind=kind, quality=quality, producer=producer, number=number)

    def append_many(
        self,
        records: Iterable[PutRecord],
        *,
        kind: RecordClass,
        quality: ClockQuality = ClockQuality.FREE,
        producer: int = 0,
        number: int = 0,
    ) -> int:
        """Take records one behind the other; returns the sequence number of the last one.

        number: of the producer, for the first. ValueError as `append`; what is before the one that it speaks of is
        taken then, and so when `records` raises.
        """
        self._batch.add(records, seq=self.appended + 1, kind=kind, quality=quality, producer=producer, number=number)
        return self.appended

    @property
    def appended(self) -> int:
        """Number of the last record that was taken, be it durable or not."""
        return self._acknowledged + len(self._batch)

    @property
    def batch_count(self) -> int:
        """How many records the next commit will write."""
        return len(self._batch)

    @property
    def batch_bytes(self) -> int:
        """How many bytes the next commit will write."""
        return self._batch.bytes

    @property
    def acknowledged(self) -> int:
        """Number of the last record that is durable."""
        return self._acknowledged

    def commit(self) -> int:
        """Make every appended record durable; returns the highest acknowledged sequence number."""
        while self._batch:
            count, data = self._batch.piece(self._limits.segment_bytes)
            self._make_room(len(data) + len(self._header_bytes))
            self._write(data, count)
        return self._acknowledged

    def _write(self, data: bytes, count: int) -> None:
        segment, last = self._segment or self._new_segment(), self._acknowledged + count
        try:
            segment.append(data, last)
        except OSError:
            with suppress(OSError):
                self.seal()  # after a failed sync nobody knows what the disk holds: this file gets no more
            raise
        self._bytes += len(data)
        self._acknowledged = last
        for run in self._batch.drop(count):
            self.producers.kept(run.producer, run.number, run.count)
        if self._mark is not None:
            self._mark.write(self._acknowledged)
        if segment.size >= self._limits.segment_bytes:
            self.seal()

    def discard(self) -> int:
        """Forget what was appended but not committed; returns how many records that were."""
        count = len(self._batch)
        self._batch.drop(count)
        return count

    def _new_segment(self) -> OpenSegment:
        self._segment = OpenSegment(self.folder, self._acknowledged, self._header_bytes)
        self._bytes += self._segment.size
        return self._segment

    def seal(self) -> None:
        """End the open segment, so that it can be claimed. What is in it is accounted for also when that fails."""
        segment = self._segment
        if segment is None:
            return
        if segment.records:
            self.producers.save()
        self._segment, file = None, segment.file
        if len(file):
            self._waiting[file.name] = file
            self._waiting_records += len(file)
        else:
            self._bytes -= segment.size
        segment.seal()

    # ------------------------------------------------------------------------------------------------------- delivery

    @property
    def waiting(self) -> list[SegmentFile]:
        """Complete segments that are not collected yet, oldest first; some may be claimed."""
        return list(self._waiting.values())

    def resized(self, file: SegmentFile, size: int) -> None:
        """A waiting segment was rewritten (see `erase`); its numbers are the same."""
        if file.name in self._waiting:
            self._waiting[file.name] = SegmentFile(file.first, file.last, size)
            self._bytes += size - file.size

    def collect(self) -> int:
        """Count and remove what the uplink has delivered since the last call, and examine what it could not read.

        Returns how many records were delivered.
        """
        self._examine_suspects()
        count = 0
        while left := segments_in(self.folder, Place.LEFT)[:MOST_RANGES]:
            records = sum(len(file) for file in left)
            self._unsynced.add(self.folder / Place.LEFT.value)
            self._remove(left, Place.LEFT, delivered=self._state.delivered + records)
            count += records
        return count

    def _examine_suspects(self) -> None:
        for file in segments_in(self.folder, Place.SUSPECT):
            self._before_state()
            self._state = examine(self.folder, self._state, file)
            self._take_listing(listing(self.folder))

    def ledger(self) -> Ledger:
        """The account as of now; what is delivered but not collected yet is pending."""
        open_records = self._segment.records if self._segment is not None else 0
        return ledger_of(self._state, self._acknowledged, self._waiting_records + open_records)

    @property
    def bytes(self) -> int:
        """Size of everything in the folder that grows: segments, and files that were set aside."""
        return self._bytes

    # ------------------------------------------------------------------------------------------------------- eviction

    def _make_room(self, needed: int) -> None:
        """Keep the limit. OSError (no space) when only segments are left that are on their way to the store."""
        limit = self._limits.max_bytes - needed
        if self._bytes > limit:
            self.evict(self._bytes - limit, "full")
        if self._bytes > limit:
            self.collect()
        if self._bytes > limit:
            self._remove_damaged(self._bytes - limit)
        if self._bytes > limit:
            raise OSError(errno.ENOSPC, "the queue is full of segments that are on their way to the store")

    def evict(self, size: int, reason: str) -> int:
        """Give up the oldest segments worth `size` bytes, if there are so many; returns how many bytes that were."""
        freed = 0
        while freed < size:
            part = self._evict(size - freed, reason)
            if not part:
                break
            freed += part
        return freed

    def _evict(self, size: int, reason: str) -> int:
        going, reason = self._oldest_worth(size, reason)
        if not going:
            return 0
        self._unsynced |= {self.folder, self.folder / Place.LEAVING.value, self.folder / Place.EVICTING.value}
        told, untold = self._state.untold[: self._telling], self._state.untold[self._telling :]
        for file in going:
            eviction = Eviction(file.first, file.last, len(file), file.size, reason)
            untold = with_eviction(untold, eviction, MOST_RANGES - len(told))
        records = sum(len(file) for file in going)
        self._remove(going, Place.EVICTING, evicted=self._state.evicted + records, untold=(*told, *untold))
        return sum(file.size for file in going)

    def begin_telling(self) -> tuple[Eviction, ...]:
        """Evictions that nobody outside knows of yet. They are told until `told`; later ones are kept apart."""
        self._telling = len(self._state.untold)
        return self._state.untold

    def told(self, kept: bool) -> None:
        """End telling. kept: their tombstones are durable. A kill before the next state write tells them once more."""
        if kept:
            self._state = msgspec.structs.replace(self._state, untold=self._state.untold[self._telling :])
        self._telling = 0

    @property
    def has_untold(self) -> bool:
        """Whether there are evictions that nobody outside knows of yet."""
        return bool(self._state.untold)

    def _oldest_worth(self, size: int, reason: str) -> tuple[list[SegmentFile], str]:
        """The oldest segments that together have `size` bytes, taken out of the uplink's reach, and why.

        Not more than fit into one state. Those that the uplink has claimed stay, unless it is gone and nothing else is
        there: then it may have brought them to the store, and the reason says so.
        """
        going = self._taken_from(Place.WAITING, size)
        if going:
            return going, reason
        abandoned = lock_or_none(self.folder.parent, CLAIMS_LOCK)
        if abandoned is None:
            return [], reason
        try:
            return self._taken_from(Place.LEAVING, size), f"{reason}, was leaving"
        finally:
            abandoned.release()

    def _taken_from(self, place: Place, size: int) -> list[SegmentFile]:
        going: list[SegmentFile] = []
        for file in self._waiting.values():
            if move(self.folder, file.name, place, Place.EVICTING):
                going.append(file)
                size -= file.size
            if size <= 0 or len(going) == MOST_RANGES:
                break
        return going

    def _remove(self, files: list[SegmentFile], place: Place, **changes: Any) -> None:
        """Write the new counts down, then remove: a kill in between is made good at the next start."""
        self._before_state()
        ranges = tuple(file.range for file in files)
        state = msgspec.structs.replace(
            self._state, removing=ranges, quarantining=(), high=self._acknowledged, **changes
        )
        self._state = write_state(self.folder, state)
        for file in files:
            sealed_path(self.folder, file.first, file.last, place).unlink(missing_ok=True)
            self._unsynced.add(self.folder / place.value)
            if self._waiting.pop(file.name, None) is not None:
                self._waiting_records -= len(file)
                self._bytes -= file.size

    def _before_state(self) -> None:
        """The state is about to count on moves, and to forget earlier removals: they must be on the disk by then."""
        for folder in self._unsynced:
            sync_folder(folder)
        self._unsynced.clear()

    def _remove_damaged(self, excess: int) -> None:
        """Only files that were set aside are left: the oldest go, since the limit is a promise too."""
        for path in listing(self.folder).damaged:
            size = path.stat().st_size
            path.unlink()
            self._bytes -= size
            excess -= size
            if excess <= 0:
                return

    def _take_listing(self, found: Listing) -> None:
        """Take over what is on the disk; what is delivered but not collected is there too."""
        files = sorted((*found.pending, *found.segments[Place.LEFT]))
        self._waiting = {file.name: file for file in files}
        self._waiting_records = sum(len(file) for file in files)
        self._bytes = found.other_bytes + sum(file.size for file in files)
