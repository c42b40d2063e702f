"""`cardan bundle list`: the bundles that were made on this computer."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import msgspec

from cardan.runtime.bundle.header import NAME, SUFFIX, Header
from cardan.runtime.bundle.make import FOLDER
from cardan.runtime.bundle.unpack import BROKEN
from cardan.runtime.cli import units
from cardan.runtime.cli.bundle_show import size_of, spoken
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.cli.moments import date_text
from cardan.runtime.cli.place import place_of

HEAD = ("id", "made (UTC)", "size", "run", "file")


def run(arguments: argparse.Namespace) -> int:
    """Print them, oldest first; those that cannot be read are told on stderr."""
    folder = place_of(arguments).folder / FOLDER
    found = [(file, _header_or_none(file)) for file in sorted(folder.glob(f"*{SUFFIX}"))] if folder.is_dir() else []
    known = sorted(((header, file) for file, header in found if header), key=lambda item: item[0].made_wall_ns)
    for file, header in found:
        if header is None:
            print(f"{file} cannot be read as a bundle", file=sys.stderr)
    if arguments.json:
        bundles = [
            {
                "id": header.id,
                "file": str(file),
                "bytes": size_of(file),
                "run": header.run,
                "made": date_text(header.made_wall_ns),
            }
            for header, file in known
        ]
        print(json.dumps({"schema_version": 1, "bundles": bundles}))
        return 0
    rows = [
        (spoken(header.id), date_text(header.made_wall_ns), units.size(size_of(file)), header.run, str(file))
        for header, file in known
    ]
    lines = (
        [Line(safe_text(text)) for text in table(HEAD, rows, "<<><<")] if rows else [Line("no bundle was made here")]
    )
    write_lines(lines, sys.stdout)
    return 0


def _header_or_none(file: Path) -> Header | None:
    with suppress(*BROKEN, KeyError, msgspec.MsgspecError), zipfile.ZipFile(file) as archive:
        if archive.getinfo(NAME).file_size < 1 << 20:
            return msgspec.json.decode(archive.read(NAME), type=Header)
    return None
