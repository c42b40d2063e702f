"""The account of a queue: what became of every record that was ever acknowledged."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.uplink.folder import Listing, listing, open_path
from cardan.runtime.uplink.segment import read_segment
from cardan.runtime.uplink.state import QueueState, read_state_or_none

READ_TRIES = 20


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of records. `produced` and the others are counted in different places, so `exact` can fail."""

    produced: int
    """Acknowledged, since the queue was made."""
    delivered: int
    pending: int
    evicted: int
    """Given up because the queue was full."""
    damaged: int = 0
    """Unreadable on this disk; the files are kept."""
    unknown: int = 0
    """Lost together with their files or with the account."""

    @property
    def exact(self) -> bool:
        """True when every record is accounted for."""
        return self.produced == self.delivered + self.pending + self.evicted + self.damaged + self.unknown

    def __str__(self) -> str:
        lost = [("damaged", self.damaged), ("unknown", self.unknown)]
        losses = "".join(f" + {name} {count}" for name, count in lost if count)
        sign = "=" if self.exact else "!="
        kept = f"delivered {self.delivered} + pending {self.pending} + evicted {self.evicted}"
        return f"produced {self.produced} {sign} {kept}{losses}"


def ledger_of(state: QueueState, produced: int, pending: int) -> Ledger:
    """The account from the durable counts and from what is known of the files."""
    return Ledger(
        produced=produced,
        delivered=state.delivered,
        pending=pending,
        evicted=state.evicted,
        damaged=state.damaged,
        unknown=state.unknown,
    )


def read_ledger_or_none(folder: Path) -> Ledger | None:
    """The account of a queue's folder, read without its process; None where there is no queue.

    While the queue is at work, state and files are read again until both belong together.
    """
    ledger = None
    for _ in range(READ_TRIES):
        before = read_state_or_none(folder)
        if before is None:
            return None
        ledger = _read(folder, before, listing(folder))
        after = read_state_or_none(folder)
        if after is not None and after.writes == before.writes and ledger.exact:
            return ledger
    return ledger


def _read(folder: Path, state: QueueState, found: Listing) -> Ledger:
    pending, produced = 0, state.high
    for segment in found.sealed:
        produced = max(produced, segment.last)
        if segment.range not in state.removing:
            pending += len(segment)
    for first in found.open:
        count = _open_records(open_path(folder, first))
        pending, produced = pending + count, max(produced, first + count - 1)
    return ledger_of(state, produced, pending)


def _open_records(path: Path) -> int:
    """Records of an open segment; 0 when it was sealed in the meantime (the caller looks again)."""
    try:
        return len(read_segment(path.read_bytes()).records)
    except FileNotFoundError:
        return 0
