"""Recovery of a queue's folder: finish what was begun, seal what is whole, set aside the rest.

Every step may be killed and is then done again: a count is written down before the file it speaks of is touched.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from cardan.runtime.uplink.disk import sync_folder, write_and_sync
from cardan.runtime.uplink.folder import Listing, damaged_path, listing, open_path, sealed_path
from cardan.runtime.uplink.segment import Record, Segment, contiguous, header_bytes, read_segment, record_bytes
from cardan.runtime.uplink.state import MOST_RANGES, QueueState, Range, read_state_or_none, set_aside_state, write_state

NEW_SEGMENT = ".segment.new"


def recover(folder: Path) -> tuple[QueueState, Listing]:
    """Bring `folder` in order; returns its files and its state, with `high` = the last acknowledged number.

    Afterwards there are only sealed segments and files that were set aside, and every record is accounted for.
    """
    state = read_state_or_none(folder) or _new_state(folder)
    (folder / NEW_SEGMENT).unlink(missing_ok=True)
    _finish_removals(folder, state)
    state = _finish_setting_aside(folder, state)
    for first in listing(folder).open:
        state = _seal_left_open(folder, state, first)
    return _balanced(folder, state)


def _new_state(folder: Path) -> QueueState:
    set_aside_state(folder)
    return write_state(folder, QueueState(log=_log_of_files_or_none(folder) or secrets.token_hex(4)))


def _log_of_files_or_none(folder: Path) -> str | None:
    """The log's name as the newest segment has it: for a queue whose state file was lost."""
    found = listing(folder)
    paths = [open_path(folder, first) for first in found.open]
    paths += [sealed_path(folder, item.first, item.last) for item in reversed(found.sealed)]
    headers = (read_segment(path.read_bytes()).header for path in paths)
    return next((header.log for header in headers if header is not None), None)


def _finish_removals(folder: Path, state: QueueState) -> None:
    for gone in state.removing:
        sealed_path(folder, gone.first, gone.last).unlink(missing_ok=True)


def _finish_setting_aside(folder: Path, state: QueueState) -> QueueState:
    """Do again what a kill interrupted; the records are counted already."""
    for lost in state.quarantining:
        for path in (sealed_path(folder, lost.first, lost.last), open_path(folder, lost.first)):
            if path.exists():
                _split(folder, path, lost, read_segment(path.read_bytes()))
    return state


def _seal_left_open(folder: Path, state: QueueState, first: int) -> QueueState:
    path = open_path(folder, first)
    segment = _up_to_the_next(folder, first, read_segment(path.read_bytes()))
    expected = Range(first, segment.records[-1].seq if segment.records else first)
    if segment.damaged and len(segment.records) < len(expected):
        return set_aside(folder, state, path, expected, segment)
    if segment.damaged:
        _write_sealed(folder, segment, segment.records)
    if segment.damaged or not segment.records:
        path.unlink()
        return state
    with path.open("rb+") as file:
        file.truncate(segment.whole_bytes)
        os.fdatasync(file.fileno())
    os.replace(path, sealed_path(folder, first, segment.records[-1].seq))
    sync_folder(folder)
    return state


def _up_to_the_next(folder: Path, first: int, segment: Segment) -> Segment:
    """`segment` without records whose numbers were given again: they were refused by the disk, not acknowledged."""
    found = listing(folder)
    later = [item for item in (*found.open, *(file.first for file in found.sealed)) if item > first]
    records = [record for record in segment.records if record.seq < min(later, default=record.seq + 1)]
    return msgspec.structs.replace(segment, records=records)


def set_aside(folder: Path, state: QueueState, path: Path, expected: Range, segment: Segment) -> QueueState:
    """Keep a damaged file under another name, and put its whole records back as new segments.

    expected: the sequence numbers that the file should hold. What is missing is counted as damaged; where even the
    header is gone from a segment that was never sealed, nobody knows the number and `_balanced` finds it.
    """
    missing = len(expected) - len(segment.records) if segment.records or path.suffix != ".open" else 0
    state = msgspec.structs.replace(
        state,
        high=max(state.high, expected.last if missing or segment.records else 0),
        damaged=state.damaged + missing,
        quarantining=(*state.quarantining[-MOST_RANGES:], expected),
    )
    state = write_state(folder, state)
    _split(folder, path, expected, segment)
    return state


def _split(folder: Path, path: Path, expected: Range, segment: Segment) -> None:
    for run in contiguous(segment.records):
        _write_sealed(folder, segment, run)
    os.replace(path, damaged_path(folder, expected.first, expected.last))
    sync_folder(folder)


def _write_sealed(folder: Path, segment: Segment, run: list[Record]) -> None:
    if segment.header is None:
        return
    log = segment.header.log
    new = folder / NEW_SEGMENT
    write_and_sync(new, header_bytes(segment.header) + b"".join(record_bytes(record, log) for record in run))
    os.replace(new, sealed_path(folder, run[0].seq, run[-1].seq))


def _balanced(folder: Path, state: QueueState) -> tuple[QueueState, Listing]:
    """`state` with everything that neither a count nor a file explains counted as unknown."""
    found = listing(folder)
    high = max(state.high, found.sealed[-1].last if found.sealed else 0)
    pending = sum(segment.last - segment.first + 1 for segment in found.sealed)
    unknown = high - pending - state.delivered - state.evicted - state.damaged
    if (high, unknown) == (state.high, state.unknown) and not state.removing and not state.quarantining:
        return state, found
    sync_folder(folder)
    state = write_state(
        folder, msgspec.structs.replace(state, high=high, unknown=unknown, removing=(), quarantining=())
    )
    return state, found
