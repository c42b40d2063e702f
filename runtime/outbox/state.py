"""What a queue remembers beside its segments: how many records went where, and what it is about to remove.

One small file with two slots that are written in turn, so that a torn write leaves the state before it, and a full disk
does not stop the account. A removal is written down together with its count before the file goes, so a kill at any
point neither forgets nor counts twice.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import msgspec

from cardan.runtime.disk import write_all, write_durably

STATE_NAME = "state"
SLOT_BYTES = 16 << 10
MOST_BOOTS = 16
MOST_RANGES = 64
"""Of ranges in one state: what is longer is done in turns."""


class Range(msgspec.Struct, frozen=True, order=True):
    """Sequence numbers `first` to `last`, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def overlaps(self, other: Range) -> bool:
        """True when a number is in both."""
        return self.first <= other.last and other.first <= self.last


class Eviction(msgspec.Struct, frozen=True):
    """Records that were given up."""

    first: int
    last: int
    records: int
    bytes: int
    reason: str = "full"
    """`full`: their class had reached its limit; `room`: a higher class needed it; with `, was leaving`: an uplink that
    is gone may have brought them to the store."""


def with_boot(boots: tuple[Boot, ...], boot: str, first: int) -> tuple[Boot, ...]:
    """`boots`, and this one if it is new; one without a record makes room."""
    if boots and boots[-1].id == boot:
        return boots
    kept = boots[:-1] if boots and boots[-1].first == first else boots
    return (*kept, Boot(boot, first))[-MOST_BOOTS:]


def with_eviction(untold: tuple[Eviction, ...], new: Eviction, most: int = MOST_RANGES) -> tuple[Eviction, ...]:
    """`untold` and `new`: joined where one follows the other, or where more than `most` would have to be told."""
    follows = bool(untold) and untold[-1].last + 1 == new.first and untold[-1].reason == new.reason
    if follows or (untold and len(untold) >= most):
        before = untold[-1]
        reason = new.reason if new.reason == before.reason else "several"
        joined = Eviction(before.first, new.last, before.records + new.records, before.bytes + new.bytes, reason)
        return (*untold[:-1], joined)
    return (*untold, new)


class Boot(msgspec.Struct, frozen=True):
    """A boot of the computer in which this queue was written."""

    id: str
    first: int
    """Number of its first record."""


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are of records since the log began."""

    log: str
    """Random identifier of this queue, made with it."""
    high: int = 0
    """Highest sequence number that was acknowledged when this was written."""
    delivered: int = 0
    evicted: int = 0
    damaged: int = 0
    """Unreadable when they were read again; their files are kept beside the queue."""
    unknown: int = 0
    """Gone together with a state file that could not be read."""
    removing: tuple[Range, ...] = ()
    """Counted above; files of these ranges are to be removed, or are already."""
    quarantining: tuple[Range, ...] = ()
    """Counted above; damaged files of these ranges are to be set aside, or are already."""
    untold: tuple[Eviction, ...] = ()
    """Evictions for which no tombstone is in the queue yet."""
    boots: tuple[Boot, ...] = ()
    """The last MOST_BOOTS, oldest first."""
    writes: int = 0
    """Counts up with every write, so that a reader of the folder sees when it raced one."""


def write_state(folder: Path, state: QueueState) -> QueueState:
    """Make `state` durable; returns it as written. Needs no free disk space once the file is there."""
    written = msgspec.structs.replace(state, writes=state.writes + 1)
    slot = written.writes % 2
    data = _slot_bytes(written)
    path = folder / STATE_NAME
    if not path.exists():
        write_durably(path, data.ljust(SLOT_BYTES, b"\0") * 2)
        return written
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.lseek(descriptor, slot * SLOT_BYTES, os.SEEK_SET)
        write_all(descriptor, data)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return written


def _slot_bytes(state: QueueState) -> bytes:
    text = msgspec.json.encode(state)
    data = b"%08x %s\n" % (zlib.crc32(text), text)
    if len(data) > SLOT_BYTES:
        raise ValueError(f"a queue state of {len(data)} bytes does not fit into {SLOT_BYTES}")
    return data


def read_state_or_none(folder: Path) -> QueueState | None:
    """The newest state in `folder` that is whole; None when there is none."""
    try:
        data = (folder / STATE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    states = [_state_or_none(data[:SLOT_BYTES]), _state_or_none(data[SLOT_BYTES:])]
    return max((state for state in states if state is not None), key=lambda state: state.writes, default=None)


def _state_or_none(slot: bytes) -> QueueState | None:
    crc, _, text = slot.partition(b"\n")[0].partition(b" ")
    try:
        return msgspec.json.decode(text, type=QueueState) if int(crc, 16) == zlib.crc32(text) else None
    except (ValueError, msgspec.MsgspecError):
        return None


def set_aside_state(folder: Path) -> None:
    """Keep an unreadable state file under another name."""
    path = folder / STATE_NAME
    if path.exists():
        os.replace(path, path.with_name(f"{STATE_NAME}.damaged"))
