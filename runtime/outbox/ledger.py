"""The account of a queue: what became of every record that was ever acknowledged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from cardan.runtime.outbox.folder import Listing, Place, SegmentFile, class_dir, listing, sealed_path
from cardan.runtime.outbox.recovery import read_whatever, records_of_open, source_or_none
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.state import QueueState, read_state_or_none

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

    While queue or uplink are at work, state and files are read again until both belong together.
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


def read_ledgers(outbox: Path) -> dict[RecordClass, Ledger]:
    """The accounts of all classes that have a queue."""
    ledgers = ((kind, read_ledger_or_none(class_dir(outbox, kind))) for kind in RecordClass)
    return {kind: ledger for kind, ledger in ledgers if ledger is not None}


def total(ledgers: Iterable[Ledger]) -> Ledger:
    """The sum of accounts."""
    rows = list(ledgers)
    return Ledger(**{name: sum(getattr(row, name) for row in rows) for name in Ledger.__struct_fields__})


def _read(folder: Path, state: QueueState, found: Listing) -> Ledger:
    pending = delivered = 0
    produced = state.high
    for place, files in found.segments.items():
        for file in files:
            produced = max(produced, file.last)
            if file.range in state.removing and place in (Place.LEFT, Place.EVICTING):
                continue
            if place is Place.LEFT:
                delivered += len(file)
            else:
                pending += _records_of(folder, state, file, place)
    for first in found.open:
        count = _open_records(folder, first)
        pending, produced = pending + count, max(produced, first + count - 1)
    pending += sum(len(file) for file in found.whole if not _is_being_split(folder, state, file))
    state = msgspec.structs.replace(state, delivered=state.delivered + delivered)
    return ledger_of(state, produced, pending)


def _records_of(folder: Path, state: QueueState, file: SegmentFile, place: Place) -> int:
    """Records of a complete segment; of one whose damage is counted already, those that are whole."""
    if place is Place.SUSPECT and file.range in state.quarantining:
        segment = read_whatever(sealed_path(folder, file.first, file.last, place))
        return sum(file.first <= record.seq <= file.last for record in segment.records)
    return len(file)


def _is_being_split(folder: Path, state: QueueState, file: SegmentFile) -> bool:
    """Whether the damaged file that these whole records come from is still there, and counted."""
    return any(file.range.overlaps(lost) and source_or_none(folder, lost) for lost in state.quarantining)


def _open_records(folder: Path, first: int) -> int:
    """Records of an open segment; 0 when it was sealed in the meantime (the caller looks again)."""
    try:
        return len(records_of_open(folder, first))
    except FileNotFoundError:
        return 0
