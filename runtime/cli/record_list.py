"""`cardan record list`: every recording of this computer."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.record_files import all_files, folder_of
from cardan.runtime.cli.runs import stamp
from cardan.runtime.record.mcap_file import read_metadata
from cardan.runtime.record.repair import is_finished

HEAD = ("recording", "vehicle", "ended (UTC)", "size", "")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One file, as `--json` prints it."""

    path: str
    run: str
    vehicle: str
    ended_wall_ns: int
    """When the file was written last."""
    size_bytes: int
    finished: bool


def run(arguments: argparse.Namespace) -> int:
    """Print the recordings, oldest first; 3 when there are none."""
    folder = folder_of(arguments.data_dir)
    rows = [_row(path) for path in all_files(folder)]
    if not rows:
        raise NoDataError(f"there are no recordings in {folder}", hint="record some with `cardan up`")
    if arguments.json:
        print(msgspec.json.encode({"schema_version": 1, "folder": str(folder), "recordings": rows}).decode())
        return 0
    total = units.size(sum(row.size_bytes for row in rows))
    head, *texts = table(HEAD, [_cells(row) for row in rows], "<<<><")
    roles = ["plain" if row.finished else "warning" for row in rows]
    lines = [Line(text, role) for text, role in zip(texts, roles, strict=True)]
    write_lines([Line(f"{len(rows)} recordings, {total}, in {folder}"), Line(head, "title"), *lines], sys.stdout)
    return 0


def _row(path: Path) -> Row:
    status, metadata = path.stat(), read_metadata(path)
    return Row(
        path=str(path),
        run=metadata.get("run_id", ""),
        vehicle=metadata.get("vehicle", ""),
        ended_wall_ns=status.st_mtime_ns,
        size_bytes=status.st_size,
        finished=is_finished(path),
    )


def _cells(row: Row) -> tuple[str, ...]:
    name = row.path.rsplit("/", 1)[-1]
    state = "" if row.finished else "unfinished: being written, or `cardan record repair`"
    ended = stamp(row.ended_wall_ns).strftime("%Y-%m-%d %H:%M:%S")
    return cut(name, 40), cut(row.vehicle, 20), ended, units.size(row.size_bytes), state
