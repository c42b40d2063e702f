"""`cardan sync ls`: the files of the outbox."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.cli.sync_status import data_dir_of, no_outbox
from cardan.runtime.errors import near_names
from cardan.runtime.outbox.folder import outbox_dir, stream_of
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.survey import SegmentRow, segments


def run(arguments: argparse.Namespace) -> int:
    """Print every file; 3 where there never was an outbox."""
    data_dir = data_dir_of(arguments)
    if not outbox_dir(data_dir).is_dir():
        raise no_outbox(data_dir)
    rows = list(segments(outbox_dir(data_dir), classes_of(arguments.classes)))
    if arguments.json:
        for row in rows:
            print(msgspec.json.encode({"schema_version": 1, **msgspec.structs.asdict(row)}).decode())
    else:
        write_lines(ls_lines(rows), sys.stdout)
    return int(Exit.HEALTHY)


def classes_of(words: list[str]) -> tuple[RecordClass, ...]:
    """The classes of these names; all when there are none. UsageError for another name."""
    names = {stream_of(kind): kind for kind in RecordClass}
    for word in words:
        if word not in names:
            raise UsageError(f'no class "{word}"', hint=near_names(word, list(names)))
    return tuple(names[word] for word in words) or tuple(RecordClass)


def ls_lines(rows: list[SegmentRow]) -> list[Line]:
    """How much there is, then a line for each file."""
    size = units.size(sum(row.bytes for row in rows))
    files = "1 file" if len(rows) == 1 else f"{len(rows)} files"
    head = Line(f"{files}, {size}" if rows else "nothing waits", "title")
    cells = [
        (row.stream, row.place, f"{row.first}-{row.last or '...'}", units.size(row.bytes), row.boot[:8], row.vehicle)
        for row in rows
    ]
    columns = ("class", "place", "numbers", "size", "boot", "vehicle")
    return [head, *(Line(safe_text(text)) for text in (table(columns, cells, "<<<><<") if cells else []))]
