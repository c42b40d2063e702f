"""`cardan sync send`: hand whole files to the uplink, such as clips of the recorder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.runs import Place
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.files import hand_over
from cardan.runtime.uplink.status import uplink_dir


def run(arguments: argparse.Namespace) -> int:
    """Keep each file until the store has it."""
    folder = uplink_dir(Place(Path(arguments.data_dir) if arguments.data_dir else None).folder)
    kind, clock = RecordClass[arguments.kind.upper()], MonotonicClock()
    notes = [
        hand_over(folder, Path(path), kind=kind, purposes=(arguments.purpose,), clock=clock) for path in arguments.files
    ]
    if arguments.json:
        files = [{"name": note.name, "size_bytes": note.size, "sha256": note.sha256} for note in notes]
        print(msgspec.json.encode({"schema_version": 1, "data_dir": str(folder.parent), "files": files}).decode())
        return int(Exit.HEALTHY)
    total = units.size(sum(note.size for note in notes))
    lines = [Line(f"{len(notes)} files, {total}, are kept for the store", "good")]
    lines += [Line(f"  {note.name}  {units.size(note.size)}  sha256 {note.sha256}") for note in notes]
    write_lines([*lines, Line("`cardan sync why` says what they wait for", "faint")], sys.stdout)
    return int(Exit.HEALTHY)
