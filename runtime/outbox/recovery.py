"""Recovery of a queue's folder: finish what was begun, seal what is whole, set aside the rest.

Every step may be killed and is then done again: a count is written down before the file it speaks of is touched. The
uplink may go on claiming and delivering meanwhile.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import msgspec

from cardan.runtime.disk import sync_folder, write_and_sync
from cardan.runtime.outbox.folder import (
    Listing,
    Place,
    SegmentFile,
    class_dir,
    damaged_path,
    listing,
    move,
    next_first_or_none,
    open_path,
    opened_in,
    sealed_path,
    segments_in,
    whole_in,
    whole_path,
)
from cardan.runtime.outbox.lock import CLAIMS_LOCK, FolderLock
from cardan.runtime.outbox.segment import (
    Record,
    RecordClass,
    Segment,
    contiguous,
    header_bytes,
    read_segment,
    record_bytes,
)
from cardan.runtime.outbox.state import MOST_RANGES, QueueState, Range, read_state_or_none, set_aside_state, write_state

LISTING_TRIES = 20
HEADERS_TRIED = 16
"""A start does not depend on what waits, also when the state was lost."""


def recover(folder: Path) -> tuple[QueueState, Listing]:
    """Bring `folder` in order; returns its files and its state, with `high` = the last acknowledged number.

    Afterwards there are only complete segments and files that were set aside, and every record is accounted for.
    """
    state = read_state_or_none(folder) or _new_state(folder)
    _finish_removals(folder, state)
    state = _finish_setting_aside(folder, state)
    for first in opened_in(folder):
        state = _seal_left_open(folder, state, first)
    for file in segments_in(folder, Place.SUSPECT):
        state = examine(folder, state, file)
    return _balanced(folder, state)


def _new_state(folder: Path) -> QueueState:
    set_aside_state(folder)
    return write_state(folder, QueueState(log=_log_of_files_or_none(folder) or os.urandom(4).hex()))


def _log_of_files_or_none(folder: Path) -> str | None:
    """The log's name as the newest segment has it: for a queue whose state file was lost."""
    found = listing(folder)
    paths = [open_path(folder, first) for first in found.open]
    paths += [sealed_path(folder, item.first, item.last) for item in reversed(found.segments[Place.WAITING])]
    headers = (read_whatever(path).header for path in paths[:HEADERS_TRIED])
    return next((header.log for header in headers if header is not None), None)


def _finish_removals(folder: Path, state: QueueState) -> None:
    """Remove what is counted as removed; an eviction that was begun and not counted is taken back."""
    for gone in state.removing:
        for place in (Place.LEFT, Place.EVICTING):
            sealed_path(folder, gone.first, gone.last, place).unlink(missing_ok=True)
    for file in segments_in(folder, Place.EVICTING):
        move(folder, file.name, Place.EVICTING, Place.WAITING)


def _finish_setting_aside(folder: Path, state: QueueState) -> QueueState:
    """Do again what a kill interrupted; the records are counted already."""
    sources = [(lost, source_or_none(folder, lost)) for lost in state.quarantining]
    unfinished = [lost for lost, source in sources if source is not None]
    unfinished += [file.range for file in segments_in(folder, Place.SUSPECT)]
    for file in whole_in(folder):
        path = whole_path(folder, file.first, file.last)
        if any(file.overlaps(lost) for lost in unfinished):
            path.unlink()
        else:
            os.replace(path, sealed_path(folder, file.first, file.last))
    for lost, source in sources:
        if source is not None:
            _split(folder, source, lost, read_whatever(source))
    return state


def source_or_none(folder: Path, lost: Range) -> Path | None:
    """The damaged file of a range that is being set aside; None when that is done."""
    paths = (sealed_path(folder, lost.first, lost.last, Place.SUSPECT), open_path(folder, lost.first))
    return next((path for path in paths if path.exists()), None)


def read_whatever(path: Path) -> Segment:
    """What can be read of a file; of one that the disk does not give back, nothing."""
    try:
        return read_segment(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError:
        return Segment(None, [], 0, damaged=True)


def _seal_left_open(folder: Path, state: QueueState, first: int) -> QueueState:
    path = open_path(folder, first)
    segment = _up_to_the_next(folder, first, read_whatever(path))
    expected = Range(first, segment.records[-1].seq if segment.records else first)
    if segment.damaged and len(segment.records) < len(expected):
        return set_aside(folder, state, path, expected, segment)
    if segment.damaged:
        _write_whole(folder, segment, segment.records)
        os.replace(
            whole_path(folder, first, segment.records[-1].seq), sealed_path(folder, first, segment.records[-1].seq)
        )
    if segment.damaged or not segment.records:
        path.unlink()
        return state
    with path.open("rb+") as file:
        file.truncate(segment.whole_bytes)
        os.fdatasync(file.fileno())
    os.replace(path, sealed_path(folder, first, segment.records[-1].seq))
    sync_folder(folder)
    return state


def records_of_open(folder: Path, first: int) -> list[Record]:
    """The acknowledged records of an open segment. FileNotFoundError when it was sealed meanwhile."""
    return _up_to_the_next(folder, first, read_whatever(open_path(folder, first))).records


def _up_to_the_next(folder: Path, first: int, segment: Segment) -> Segment:
    """`segment` without records whose numbers were given again: they were refused by the disk, not acknowledged."""
    following = next_first_or_none(folder, first)
    records = [record for record in segment.records if following is None or record.seq < following]
    return msgspec.structs.replace(segment, records=records)


def examine(folder: Path, state: QueueState, file: SegmentFile) -> QueueState:
    """A segment that the uplink could not read goes back when it is whole after all; else it is set aside."""
    path = sealed_path(folder, file.first, file.last, Place.SUSPECT)
    segment = read_whatever(path)
    records = [record for record in segment.records if file.first <= record.seq <= file.last]
    if segment.header is not None and len(records) == len(file):
        move(folder, file.name, Place.SUSPECT, Place.WAITING)
        return state
    return set_aside(folder, state, path, file.range, msgspec.structs.replace(segment, records=records))


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


def _split(folder: Path, source: Path, expected: Range, segment: Segment) -> None:
    """Write what is whole beside the source, take the source away, and only then let the whole be claimed.

    So a kill in between leads neither to a record that is claimed twice nor to one that is forgotten.
    """
    runs = contiguous([record for record in segment.records if expected.first <= record.seq <= expected.last])
    for run in runs:
        _write_whole(folder, segment, run)
    sync_folder(folder)
    os.replace(source, damaged_path(folder, expected.first, expected.last))
    sync_folder(folder)
    for run in runs:
        os.replace(whole_path(folder, run[0].seq, run[-1].seq), sealed_path(folder, run[0].seq, run[-1].seq))
    sync_folder(folder)


def _write_whole(folder: Path, segment: Segment, run: list[Record]) -> None:
    if segment.header is None:
        return
    log = segment.header.log
    path = whole_path(folder, run[0].seq, run[-1].seq)
    write_and_sync(path, header_bytes(segment.header) + b"".join(record_bytes(record, log) for record in run))


def _balanced(folder: Path, state: QueueState) -> tuple[QueueState, Listing]:
    """`state` with everything that neither a count nor a file explains counted as unknown."""
    high, unknown, found = _unexplained(folder, state)
    if (high, unknown) == (state.high, state.unknown) and not state.removing and not state.quarantining:
        return state, found
    for place in (Place.WAITING, Place.LEFT, Place.EVICTING):
        sync_folder(folder / place.value)
    state = write_state(
        folder, msgspec.structs.replace(state, high=high, unknown=unknown, removing=(), quarantining=())
    )
    return state, found


def _unexplained(folder: Path, state: QueueState) -> tuple[int, int, Listing]:
    """Highest number, unknown records, and the files; looked at again when a file may have moved meanwhile."""
    for _ in range(LISTING_TRIES):
        found = listing(folder)
        files = sorted((*found.pending, *found.segments[Place.LEFT]))
        high = max(state.high, files[-1].last if files else 0)
        unknown = high - sum(map(len, files)) - state.delivered - state.evicted - state.damaged
        if unknown == state.unknown:
            break
    return high, unknown, found


def repair(outbox: Path) -> list[Path]:
    """Recover every class and look into every file that waits; returns what was set aside. DeviceError: it is at work.

    Neither outbox nor uplink may run. Their locks are held meanwhile.
    """
    before = _damaged_in(outbox)
    with ExitStack() as held:
        held.callback(FolderLock(outbox, CLAIMS_LOCK).release)
        folders = [folder for kind in RecordClass if (folder := class_dir(outbox, kind)).is_dir()]
        for folder in folders:
            held.callback(FolderLock(folder).release)
        for folder in folders:
            state, found = recover(folder)
            for file in found.segments[Place.WAITING] + found.segments[Place.LEAVING]:
                state = _look_into(folder, state, file)
            _balanced(folder, state)
    return sorted(_damaged_in(outbox) - before)


def _damaged_in(outbox: Path) -> set[Path]:
    return {path for kind in RecordClass for path in listing(class_dir(outbox, kind)).damaged}


def _look_into(folder: Path, state: QueueState, file: SegmentFile) -> QueueState:
    """Examine a file; whole ones are waiting afterwards."""
    move(folder, file.name, Place.WAITING, Place.SUSPECT)
    move(folder, file.name, Place.LEAVING, Place.SUSPECT)
    return examine(folder, state, file)
