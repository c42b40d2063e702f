"""Delivery: sealed segments become objects of the store, verified there before they are removed here.

A segment leaves the queue only when the store holds its content under its name, so a kill at any point leads to the
same put again, which the store answers with "exists".
"""

from __future__ import annotations

from random import Random

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.uplink.folder import SegmentFile
from cardan.runtime.uplink.objects import object_bytes, object_name, same_content
from cardan.runtime.uplink.queue import Queue
from cardan.runtime.uplink.segment import Segment, SegmentHeader
from cardan.runtime.uplink.store import Store, StoreError

FIRST_WAIT_NS = NS_PER_S
LONGEST_WAIT_NS = 300 * NS_PER_S


class Sync:
    """Empties a queue into a store, one segment a call. random: for the jitter of waiting times."""

    def __init__(self, queue: Queue, store: Store, random: Random) -> None:
        self._queue = queue
        self._store = store
        self._random = random
        self._failures = 0
        self._retry_ns = 0
        self._refused: set[SegmentFile] = set()
        self.objects = 0
        """Delivered since this process started."""
        self.problem: str | None = None
        """Why something was not delivered at the last try; None when all went well."""

    def step(self, now_ns: int) -> int:
        """Deliver the oldest sealed segment; returns how many records that were, 0 when nothing was delivered.

        Blocks for as long as the store takes. After a failure nothing is tried for a while: up to 1 s at first,
        doubled each time up to 300 s, with full jitter.
        """
        if now_ns < self._retry_ns:
            return 0
        file = self._queue.oldest_or_none(besides=self._refused)
        if file is None:
            return 0
        try:
            return self._deliver(file)
        except (StoreError, OSError) as error:
            self._wait(now_ns, error)
            return 0

    def _deliver(self, file: SegmentFile) -> int:
        segment = self._queue.read_or_none(file)
        if segment is None or segment.header is None:
            self.problem = f"records {file.first} to {file.last} were damaged on this disk; what is whole goes on"
            return 0
        if not self._put(segment.header, segment):
            self._refused.add(file)
            return 0
        self._queue.delivered(file)
        self._failures = 0
        self.objects += 1
        if not self._refused:
            self.problem = None
        return len(file)

    def _put(self, header: SegmentHeader, segment: Segment) -> bool:
        """True when the store holds the segment; False when it holds something else under that name."""
        name = object_name(header, segment.records[0], segment.records[-1])
        data = object_bytes(header, segment.records)
        if self._store.create(name, data) or same_content(self._store.read(name), data):
            return True
        self.problem = f"the store holds another object under {name}; it is left there, and ours stays in the queue"
        return False

    def _wait(self, now_ns: int, error: Exception) -> None:
        self._failures += 1
        self.problem = str(error)
        longest_ns = min(LONGEST_WAIT_NS, FIRST_WAIT_NS << min(self._failures - 1, 20))
        self._retry_ns = now_ns + int(self._random.random() * longest_ns)
