"""`cardan new`: the first files of a vehicle of one's own."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from cardan.runtime.cli.exits import Exit, RefusedError, UsageError
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.manifest import NAME
from cardan.runtime.scaffold.files import new_files


def run(arguments: argparse.Namespace) -> int:
    """Write them, and say what to try; 4 when the folder holds something."""
    folder = Path(arguments.folder).expanduser()
    name = arguments.name or folder.resolve().name
    if not NAME.fullmatch(name):
        hint = "name it with --name: 1 to 32 lower-case letters, digits, _ and -, a letter first"
        raise UsageError(f'"{name}" cannot be the name of a vehicle', hint=hint)
    try:
        write_files(folder, new_files(name))
    except OSError as error:
        hint = "name a folder that you may write"
        raise UsageError(f"{folder} cannot be written: {error.strerror}", hint=hint) from None
    at = shlex.quote(str(folder))
    lines = [
        f"{folder} holds a vehicle of two nodes. Next:",
        f"  cardan check {at}              # the graph, before anything starts",
        f"  cardan up {at} --for 10s       # run it",
        f"  (cd {at} && python -m pytest)  # its nodes on a fake clock",
    ]
    write_lines([Line(text) for text in lines], sys.stdout)
    return int(Exit.HEALTHY)


def write_files(folder: Path, texts: dict[str, str]) -> None:
    """Write every text; RefusedError, and nothing written, when there is something in the folder."""
    if folder.is_dir() and any(folder.iterdir()):
        raise RefusedError(f"{folder} is not empty; nothing was written", hint="name a new folder")
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
