"""`cardan sync open`: encrypted objects of a store, opened with the key of their vehicle or of their recipient."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path, PurePath

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.uplink.cipher import SUFFIX
from cardan.runtime.uplink.keys.opening import open_opener
from cardan.runtime.uplink.objects import LAYOUT


def run(arguments: argparse.Namespace) -> int:
    """Write what is in each object beside it, or into --out; the first that cannot be opened ends it."""
    if len(arguments.objects) > 1 and (arguments.name or arguments.out):
        raise UsageError("--name and --out are of one object", hint="give one, or none of them")
    opener = open_opener(arguments.key, Path.cwd())
    files = []
    for path in map(Path, arguments.objects):
        name = arguments.name or name_of(path)
        target = Path(arguments.out) if arguments.out else _beside(path)
        content = opener.open(name, _read(path))
        _write_new(target, content)
        files.append({"object": name, "out": str(target), "size_bytes": len(content)})
    if arguments.json:
        print(msgspec.json.encode({"schema_version": 1, "files": files}).decode())
        return int(Exit.HEALTHY)
    lines = [Line(f"{len(files)} objects are opened", "good")]
    lines += [Line(safe_text(f"  {file['out']}  {units.size(int(file['size_bytes']))}")) for file in files]
    write_lines(lines, sys.stdout)
    return int(Exit.HEALTHY)


def name_of(path: PurePath) -> str:
    """The name of an object in a store that is a folder: its path from `v1` on. UsageError where there is no `v1`."""
    parts = path.parts
    if LAYOUT not in parts:
        raise UsageError(f"{path} does not say how its object is called", hint=f"--name {LAYOUT}/..., as at the store")
    at = len(parts) - 1 - parts[::-1].index(LAYOUT)
    return "/".join(parts[at:])


def _beside(path: Path) -> Path:
    if path.suffix != SUFFIX:
        raise UsageError(f"{path} does not end in {SUFFIX}", hint="say where its content goes with --out")
    return path.with_suffix("")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _write_new(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise UsageError(f"{path} exists", hint="name another with --out, or remove it") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
