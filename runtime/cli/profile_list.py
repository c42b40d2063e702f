"""`cardan profile list`: the hardware profiles that are shipped."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.profile_file import find_profile, load_profile, profile_names


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One profile, as `--json` prints it."""

    name: str
    description: str
    path: str


def run(arguments: argparse.Namespace) -> int:
    """Print them by name."""
    rows = [
        Row(name=name, description=load_profile(name).description, path=str(find_profile(name, Path())))
        for name in profile_names()
    ]
    if arguments.json:
        print(msgspec.json.encode({"schema_version": 1, "profiles": rows}).decode())
    else:
        width = max(len(row.name) for row in rows)
        write_lines((Line(f"{row.name:<{width}}  {safe_text(row.description)}") for row in rows), sys.stdout)
    return int(Exit.HEALTHY)
