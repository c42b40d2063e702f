"""Erase what consent was withdrawn for from segments that wait: each such record keeps its number and its stamps, and
loses everything else.

So no count of the account changes, and no number is missing at the store. A segment is rewritten under its own name
while nobody can claim it; a kill leaves the old content or the new, and the next start looks again.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import msgspec

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.disk import sync_folder, write_and_sync
from cardan.runtime.outbox.folder import Place, SegmentFile, move, sealed_path
from cardan.runtime.outbox.queue import Queue
from cardan.runtime.outbox.segment import Record, Segment, header_bytes, read_segment, record_bytes

ERASED = b'{"topic":"outbox/erased","message":{"reason":"consent withdrawn"},"purpose":"operation"}'
MOST_A_STEP = 8
HEAD_BYTES = 4096


class _Purpose(msgspec.Struct):
    purpose: str = ""


class Eraser:
    """Goes through the waiting segments of one queue, a few at a time, whenever less is consented to than before.

    For the process that owns the queue, and its thread.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._consented: frozenset[str] | None = None
        self._to_do: deque[SegmentFile] = deque()
        self._claimed: list[SegmentFile] = []
        self._again_ns = 0

    def step(self, consented: frozenset[str], now_ns: int) -> int:
        """Go on; returns how many records were erased. OSError of the disk passes through, and it goes on next time."""
        if consented != self._consented:
            self._consented, self._claimed = consented, []
            self._to_do = deque(self._queue.waiting)
        if self._claimed and now_ns >= self._again_ns:
            self._again_ns = now_ns + NS_PER_S
            still_there = set(self._queue.waiting)
            self._to_do.extend(file for file in self._claimed if file in still_there)
            self._claimed = []
        count = 0
        for _ in range(min(MOST_A_STEP, len(self._to_do))):
            count += self._look_at(self._to_do[0], consented)
            self._to_do.popleft()
        return count

    def _look_at(self, file: SegmentFile, consented: frozenset[str]) -> int:
        purposes = self._purposes_or_none(file)
        if purposes is None:
            self._claimed.append(file)
            return 0
        if purposes <= consented:
            return 0
        count, size = rewrite(self._queue.folder, file, consented)
        self._queue.resized(file, size)
        return count

    def _purposes_or_none(self, file: SegmentFile) -> frozenset[str] | None:
        """What its header says; None for one that is claimed: it comes back, or leaves with what it was claimed for."""
        try:
            with sealed_path(self._queue.folder, file.first, file.last).open("rb") as opened:
                header = read_segment(opened.read(HEAD_BYTES)).header
        except FileNotFoundError:
            return None
        return frozenset(header.purposes) if header is not None else frozenset()


def rewrite(folder: Path, file: SegmentFile, consented: frozenset[str]) -> tuple[int, int]:
    """Erase in one waiting segment; how many records that were, and the size of its file now.

    While it is rewritten it lies where segments are examined that cannot be read, so nobody claims it. One that really
    cannot be read stays there, for the queue to set aside.
    """
    if not move(folder, file.name, Place.WAITING, Place.SUSPECT):
        return 0, file.size
    path = sealed_path(folder, file.first, file.last, Place.SUSPECT)
    segment = read_segment(path.read_bytes())
    if segment.header is None or len(segment.records) != len(file):
        return 0, file.size
    new, count = erased(segment, consented)
    data = segment_bytes(new)
    staged = path.with_name(f".{file.name}.new")
    try:
        write_and_sync(staged, data)
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    sync_folder(path.parent)
    move(folder, file.name, Place.SUSPECT, Place.WAITING)
    sync_folder(folder)
    return count, len(data)


def segment_bytes(segment: Segment) -> bytes:
    """A segment as it is on disk."""
    if segment.header is None:
        return b""
    log = segment.header.log
    return header_bytes(segment.header) + b"".join(record_bytes(record, log) for record in segment.records)


def erased(segment: Segment, consented: frozenset[str]) -> tuple[Segment, int]:
    """The segment without what is not consented to any more, and how many of its records that were."""
    records = [_erased_or_same(record, consented) for record in segment.records]
    count = sum(new is not old for new, old in zip(records, segment.records, strict=True))
    header = segment.header
    if header is not None:
        kept = tuple(purpose for purpose in header.purposes if purpose in consented)
        header = msgspec.structs.replace(header, purposes=kept)
    return msgspec.structs.replace(segment, header=header, records=records), count


def _erased_or_same(record: Record, consented: frozenset[str]) -> Record:
    try:
        purpose = msgspec.json.decode(record.payload, type=_Purpose).purpose
    except msgspec.MsgspecError:
        purpose = "unreadable"
    if not purpose or purpose in consented or record.payload == ERASED:
        return record
    return msgspec.structs.replace(record, payload=ERASED)
