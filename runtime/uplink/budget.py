"""Bytes a day, by kind of link and class, on the disk before they are spent.

A budget is a bucket that holds one day's bytes and fills up evenly over a day. What counts is time that passed on the
monotonic clock: a wall clock that jumps gives nothing and takes nothing. Only for the time that the computer was off
the wall clock is asked, once at each start and for at most a day: a wrong one gives at most one day's bytes.

Bytes are taken from the disk in portions: what a process that is killed had not used of its portion counts as spent.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from cardan.runtime.clock import NS_PER_S, Clock
from cardan.runtime.disk import make_folder_durably, write_durably
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.links import LinkKind

FILE_NAME = "budgets.json"
DAY_NS = 86_400 * NS_PER_S
PORTION_BYTES = 1 << 20
PORTIONS_OF_A_DAY = 20
"""A small budget is taken in smaller portions."""

Budgets = Mapping[LinkKind, Mapping[str, int]]
"""Bytes a day by kind of link and name of class; what is not listed has no limit."""


class Bucket(msgspec.Struct, frozen=True):
    """What is left of one budget."""

    left_bytes: int
    size_bytes: int

    def filled(self, elapsed_ns: int) -> Bucket:
        """After so much time."""
        more = self.size_bytes * min(max(elapsed_ns, 0), DAY_NS) // DAY_NS
        return Bucket(min(self.size_bytes, self.left_bytes + more), self.size_bytes)


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    wall_ns: int
    buckets: dict[str, Bucket]


class Ledger:
    """The budgets of one uplink, between `open` and the end of its process. OSError of the disk passes through."""

    def __init__(self, folder: Path, budgets: Budgets, clock: Clock) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._clock = clock
        self._sizes = {_key(kind, name): size for kind, sizes in budgets.items() for name, size in sizes.items()}
        self._buckets: dict[str, Bucket] = {}
        self._portions: dict[str, int] = {}
        self._filled_ns = 0

    def open(self) -> None:
        """Read what an earlier process left, and what has come in since then."""
        make_folder_durably(self._folder)
        self._filled_ns = self._clock.now_ns()
        before = _read_or_none(self._path)
        off_ns = self._clock.wall_ns() - before.wall_ns if before is not None else 0
        for key, size in self._sizes.items():
            left = before.buckets.get(key) if before is not None else None
            bucket = Bucket(min(left.left_bytes, size), size) if left is not None else Bucket(size, size)
            self._buckets[key] = bucket.filled(off_ns)
        if self._buckets:
            self._write()

    def left_or_none(self, link: LinkKind, kind: RecordClass) -> int | None:
        """Bytes that may leave now; None: without limit."""
        key = _key(link, kind.name.lower())
        if key not in self._sizes:
            return None
        self._fill()
        return self._buckets[key].left_bytes + self._portions.get(key, 0)

    def spend(self, link: LinkKind, kind: RecordClass, count: int) -> bool:
        """Take `count` bytes, on the disk when this returns; False when they are not there."""
        key = _key(link, kind.name.lower())
        if key not in self._sizes:
            return True
        self._fill()
        missing = count - self._portions.get(key, 0)
        if missing > 0 and not self._take(key, missing):
            return False
        self._portions[key] = self._portions.get(key, 0) - count
        return True

    def refill_s(self, link: LinkKind, kind: RecordClass, count: int) -> float:
        """Seconds until so many bytes may leave; infinite when they never may."""
        key = _key(link, kind.name.lower())
        left = self.left_or_none(link, kind)
        if left is None or left >= count:
            return 0.0
        size = self._sizes[key]
        return (count - left) / size * DAY_NS / NS_PER_S if count <= size else float("inf")

    def _take(self, key: str, missing: int) -> bool:
        bucket = self._buckets[key]
        portion = max(missing, min(PORTION_BYTES, bucket.size_bytes // PORTIONS_OF_A_DAY, bucket.left_bytes))
        if portion > bucket.left_bytes:
            return False
        self._buckets[key] = Bucket(bucket.left_bytes - portion, bucket.size_bytes)
        self._write()
        self._portions[key] = self._portions.get(key, 0) + portion
        return True

    def _fill(self) -> None:
        now_ns = self._clock.now_ns()
        elapsed_ns = now_ns - self._filled_ns
        if elapsed_ns < NS_PER_S:
            return  # small steps would be rounded away
        self._filled_ns = now_ns
        self._buckets = {key: bucket.filled(elapsed_ns) for key, bucket in self._buckets.items()}

    def _write(self) -> None:
        document = _Document(wall_ns=self._clock.wall_ns(), buckets=self._buckets)
        write_durably(self._path, msgspec.json.encode(document))


def _read_or_none(path: Path) -> _Document | None:
    """None where nothing was kept, or nothing that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Document)
    except (OSError, msgspec.MsgspecError):
        return None


def _key(link: LinkKind, name: str) -> str:
    return f"{link}/{name}"
