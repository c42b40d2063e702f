"""The four queues of the outbox together: one for each class. What matters more is durable sooner and given up later.

A commit makes everything that has come for a class durable with one fdatasync. Each class has a limit, and all together
have one: the oldest records of the lowest class go first, never those of a higher class than the one that needs room.
What was given up is told in a critical record. Trouble of the disk stays with the class that it met:

    no space            critical: the reserve, then the lower classes, make room; another class: lower classes only.
                        When that does not help, records are refused until there is space, looked for twice a second
    anything else       the class takes no records for 10 s, then 20 s, ... up to 300 s; the file that met it is never
                        written again; what is complete is delivered meanwhile
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.disk import make_folder_durably
from cardan.runtime.errors import CardanError
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.erase import Eraser
from cardan.runtime.outbox.folder import class_dir, stream_of
from cardan.runtime.outbox.ledger import Ledger
from cardan.runtime.outbox.limits import ClassLimits, SpoolLimits, checked
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.reserve import Reserve
from cardan.runtime.outbox.segment import ClockQuality, RecordClass
from cardan.runtime.outbox.state import Eviction

TOMBSTONE_TOPIC = "outbox/evicted"
"""Topic of the records that tell the store which records were given up."""
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
NO_SPACE_WAIT_NS = ns(0.5)
COLLECT_EVERY_NS = ns(0.1)
FIRST_WAIT_NS, LONGEST_WAIT_NS = 10 * NS_PER_S, 300 * NS_PER_S


class NotTaken(CardanError):
    """A record cannot be kept now; nothing was promised. reason: `no space`, `disk`, `too long` or `unreadable`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Stamp(msgspec.Struct, frozen=True):
    """When something was recorded."""

    mono_ns: int
    wall_ns: int
    quality: ClockQuality = ClockQuality.FREE


class Spool:
    """Everything that is kept, between `open` and `close`. One thread. Blocks for as long as the disk takes."""

    def __init__(self, folder: Path, *, vehicle: str, boot: str, limits: SpoolLimits) -> None:
        self.folder = folder
        self._limits = checked(limits)
        self._lanes = {kind: Lane(folder, kind, limits.of(kind), vehicle=vehicle, boot=boot) for kind in RecordClass}
        self._reserve = Reserve(folder, limits.reserve_bytes)
        self._reserve_ns = 0

    def open(self) -> None:
        """Recover what an earlier process left. DeviceError: another process has the folder; OSError: the disk."""
        make_folder_durably(self.folder)
        try:
            for lane in self._lanes.values():
                lane.queue.open()
        except (CardanError, OSError):
            for lane in self._lanes.values():
                lane.queue.release()
            raise
        self._reserve.take()

    def close(self, now: Stamp) -> None:
        """Commit and seal everything, and give the folder back. What the disk refuses is counted."""
        self.commit_all(now)
        for lane in self._lanes.values():
            lane.close(now.mono_ns)

    def queue(self, kind: RecordClass) -> Queue:
        """The queue of one class, for its producers and its account."""
        return self._lanes[kind].queue

    def put(
        self, kind: RecordClass, payload: bytes, stamp: Stamp, *, now_ns: int, producer: int = 0, number: int = 0
    ) -> int:
        """Take one record; returns its sequence number. Nothing is durable before a commit. NotTaken."""
        record = PutRecord(stamp.mono_ns, stamp.wall_ns, payload)
        return self.put_many(kind, [record], stamp.quality, now_ns=now_ns, producer=producer, number=number)

    def put_many(
        self,
        kind: RecordClass,
        records: Iterable[PutRecord],
        quality: ClockQuality,
        *,
        now_ns: int,
        producer: int = 0,
        number: int = 0,
    ) -> int:
        """Take records one behind the other; returns the sequence number of the last one.

        number: of the producer, for the first. NotTaken; what was before the record that it speaks of is taken then,
        and so when `records` raises: `queue(kind).appended` says up to where.
        """
        lane = self._lanes[kind]
        lane.check_open(now_ns)
        try:
            return lane.queue.append_many(records, kind=kind, quality=quality, producer=producer, number=number)
        except ValueError as error:
            raise NotTaken("too long", str(error)) from error
        finally:
            lane.came(now_ns)

    def step(self, now: Stamp) -> None:
        """Commit and seal what is due, count what was delivered, tell what was given up."""
        for lane in self._lanes.values():
            lane.collect(now.mono_ns)
        for kind, lane in self._lanes.items():
            if lane.commit_due(now.mono_ns):
                self.commit(kind, now)
        self._tell(now)
        for lane in self._lanes.values():
            lane.seal_if_due(now.mono_ns)
        if now.mono_ns - self._reserve_ns >= NS_PER_S:
            self._reserve_ns = now.mono_ns
            self._reserve.take()

    def keep_under(self, policy: str, purposes: tuple[str, ...], now: Stamp) -> None:
        """From here on records are kept under this privacy policy, in segments of their own."""
        for kind, lane in self._lanes.items():
            if lane.queue.is_kept_under(policy, purposes):
                continue
            self.commit(kind, now)
            lane.keep_under(policy, purposes, now.mono_ns)

    def erase(self, consented: frozenset[str], now: Stamp) -> None:
        """Go on erasing what consent was withdrawn for."""
        for lane in self._lanes.values():
            lane.erase(consented, now.mono_ns)

    def commit_all(self, now: Stamp) -> None:
        """Make everything durable that has come."""
        for kind in self._lanes:
            self.commit(kind, now)
        self._tell(now)

    def commit(self, kind: RecordClass, now: Stamp) -> int:
        """Make a class durable; returns the number of its last durable record. What the disk refuses is counted."""
        lane = self._lanes[kind]
        try:
            self._make_room(kind)
            lane.commit()
        except OSError as error:
            if not (error.errno in NO_SPACE and self._find_space(kind) and lane.commit_again()):
                lane.failed(error, now.mono_ns)
        return lane.queue.acknowledged

    def full(self, kind: RecordClass) -> bool:
        """Whether so much waits for a commit that it should be done now."""
        lane = self._lanes[kind]
        return lane.queue.batch_bytes >= lane.limits.commit_bytes

    def ledgers(self) -> dict[RecordClass, Ledger]:
        """The account of each class, as of now."""
        return {kind: lane.queue.ledger() for kind, lane in self._lanes.items()}

    @property
    def bytes(self) -> int:
        """Everything that is on the disk, with the reserve."""
        return sum(lane.queue.bytes for lane in self._lanes.values()) + self._reserve.held

    def troubles(self) -> Iterator[tuple[RecordClass, str]]:
        """The classes that take no records now, and why."""
        return ((kind, lane.trouble) for kind, lane in self._lanes.items() if lane.trouble)

    def take_refused(self) -> int:
        """How many records were refused by the disk since the last call."""
        count = sum(lane.refused for lane in self._lanes.values())
        for lane in self._lanes.values():
            lane.refused = 0
        return count

    def _make_room(self, kind: RecordClass) -> None:
        excess = self.bytes + self.queue(kind).batch_bytes - self._limits.max_bytes
        if excess > 0:
            self._evict_below(kind, excess, with_own=True)

    def _find_space(self, kind: RecordClass) -> bool:
        """The disk is full: make room for one batch. True when it is worth another try."""
        if kind is RecordClass.CRITICAL and self._reserve.give():
            return True
        return self._evict_below(kind, max(self.queue(kind).batch_bytes, 1), with_own=False) > 0

    def _evict_below(self, kind: RecordClass, size: int, *, with_own: bool) -> int:
        freed = 0
        for lower in reversed(RecordClass):
            if freed < size and (lower > kind or (with_own and lower == kind)):
                freed += self._lanes[lower].evict(size - freed)
        return freed

    def _tell(self, now: Stamp) -> None:
        """Put what was given up into critical records, and make them durable."""
        critical = self._lanes[RecordClass.CRITICAL]
        telling = [lane for lane in self._lanes.values() if lane.queue.has_untold]
        if not telling or critical.is_closed(now.mono_ns):
            return
        for lane in telling:
            for eviction in lane.queue.begin_telling():
                payload = tombstone(lane.kind, lane.queue.ledger().evicted, eviction)
                self.put(RecordClass.CRITICAL, payload, now, now_ns=now.mono_ns)
        last = critical.queue.acknowledged + critical.queue.batch_count
        kept = self.commit(RecordClass.CRITICAL, now) >= last
        for lane in telling:
            lane.queue.told(kept)


class Lane:
    """One class at work: its queue, what is due, and what the disk said last."""

    def __init__(self, folder: Path, kind: RecordClass, limits: ClassLimits, *, vehicle: str, boot: str) -> None:
        self.kind = kind
        self.limits = limits
        own = QueueLimits(max_bytes=limits.max_bytes, segment_bytes=limits.segment_bytes)
        self.queue = Queue(class_dir(folder, kind), vehicle=vehicle, boot=boot, stream=stream_of(kind), limits=own)
        self._eraser = Eraser(self.queue)
        self.refused = 0
        self.trouble = ""
        self._reason = ""
        self._closed_until_ns = self._quiet_until_ns = self._collect_ns = 0
        self._wait_ns = FIRST_WAIT_NS
        self._came_ns: int | None = None
        self._opened_ns: int | None = None

    def is_closed(self, now_ns: int) -> bool:
        """Whether it takes no records now."""
        return now_ns < self._closed_until_ns

    def check_open(self, now_ns: int) -> None:
        """NotTaken while it takes no records."""
        if self.is_closed(now_ns):
            self.refused += 1
            raise NotTaken(self._reason, self.trouble)

    def came(self, now_ns: int) -> None:
        """Records may have come."""
        if self._came_ns is None and self.queue.batch_count:
            self._came_ns = now_ns

    def commit_due(self, now_ns: int) -> bool:
        """Whether what has come should be made durable now."""
        if self._came_ns is None:
            return False
        return now_ns - self._came_ns >= ns(self.limits.commit_s) or self.queue.batch_bytes >= self.limits.commit_bytes

    def commit(self) -> None:
        """OSError when the disk refuses."""
        if self._came_ns is not None and self._opened_ns is None:
            self._opened_ns = self._came_ns
        self.queue.commit()
        if self._came_ns is not None:
            self.trouble, self._wait_ns = "", FIRST_WAIT_NS
        self._came_ns = None

    def commit_again(self) -> bool:
        """One more try, after room was made."""
        try:
            self.commit()
        except OSError:
            return False
        return True

    def failed(self, error: OSError, now_ns: int) -> None:
        """The disk does not take what has come: it is given up, and the class closed for a while."""
        self.refused += self.queue.discard()
        self._came_ns = None
        self.trouble = f"{self.queue.folder}: {error.strerror}"
        self._reason = "no space" if error.errno in NO_SPACE else "disk"
        if error.errno in NO_SPACE:
            self._closed_until_ns = now_ns + NO_SPACE_WAIT_NS
            return
        self._closed_until_ns = now_ns + self._wait_ns
        self._wait_ns = min(2 * self._wait_ns, LONGEST_WAIT_NS)

    def seal_if_due(self, now_ns: int) -> None:
        """Let what is there leave when it has waited long enough."""
        if self._opened_ns is not None and now_ns - self._opened_ns >= ns(self.limits.seal_s):
            self._opened_ns = None
            self._guarded(self.queue.seal, now_ns)

    def collect(self, now_ns: int) -> None:
        """Count what was delivered; it costs as much as a hundred records, so not in every step."""
        if now_ns >= max(self._quiet_until_ns, self._collect_ns):
            self._collect_ns = now_ns + COLLECT_EVERY_NS
            self._guarded(self.queue.collect, now_ns)

    def _guarded(self, action: Callable[[], object], now_ns: int) -> None:
        """Do it; a disk that refuses is left alone for a second, and the records stay where they are."""
        try:
            action()
        except OSError as error:
            self.trouble = f"{self.queue.folder}: {error.strerror}"
            self._quiet_until_ns = now_ns + NS_PER_S

    def evict(self, size: int) -> int:
        """Make room for a higher class; returns the bytes that were freed."""
        try:
            return self.queue.evict(size, "room")
        except OSError:
            return 0

    def keep_under(self, policy: str, purposes: tuple[str, ...], now_ns: int) -> None:
        """Begin a segment of another privacy policy."""
        self._guarded(lambda: self.queue.keep_under(policy, purposes), now_ns)

    def erase(self, consented: frozenset[str], now_ns: int) -> None:
        """Take what nobody consents to any more out of what waits; a little at a time."""
        if now_ns >= self._quiet_until_ns:
            self._guarded(lambda: self._eraser.step(consented, now_ns), now_ns)

    def close(self, now_ns: int) -> None:
        """Seal, and give the folder back."""
        self._guarded(self.queue.collect, now_ns)
        self._guarded(self.queue.close, now_ns)


def tombstone(kind: RecordClass, evicted_total: int, eviction: Eviction) -> bytes:
    """The record that tells what was given up: the stream, its numbers, how many records and bytes, and why."""
    told = {"stream": stream_of(kind), "evicted_total": evicted_total, **msgspec.structs.asdict(eviction)}
    return msgspec.json.encode({"topic": TOMBSTONE_TOPIC, "message": told})
