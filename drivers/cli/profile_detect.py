"""`cardan profile detect`: the profile of this computer; the kernel's CAN driver says the bit rates."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from cardan.drivers.can.link_state import read_links
from cardan.runtime.can_health import CanLink
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.detect.profile import Detected, detect
from cardan.runtime.detect.text import profile_text
from cardan.runtime.detect.tree import Tree
from cardan.runtime.errors import DeviceError


def run(arguments: argparse.Namespace) -> int:
    """Print the profile, or write it to a file that is not there yet."""
    root = Path(arguments.root)
    if not (root / "sys").is_dir() or not (root / "proc").is_dir():
        raise UsageError(f"--root {root}: there is no sys and no proc below it", hint="--root /")
    here = root.absolute() == Path("/")
    found = detect(Tree(root), arguments.name or "", os.uname().machine if here else "")
    found = with_bit_rates(found, _links() if here else {})
    if arguments.out:
        _write(Path(arguments.out), profile_text(found))
    _show(found, arguments)
    return int(Exit.HEALTHY)


def _show(found: Detected, arguments: argparse.Namespace) -> None:
    if arguments.json:
        document = {"schema_version": 1, "path": arguments.out, "profile": found.profile, "notes": found.notes}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    elif not arguments.out:
        sys.stdout.write(profile_text(found))
    else:
        first = f"{arguments.out}: {found.profile.name}"
        write_lines([Line(safe_text(f"{first}; `cardan doctor --profile {arguments.out}`"), "good")], sys.stdout)
        write_lines((Line(safe_text(f"note: {note}"), "warning") for note in found.notes), sys.stderr)


def _links() -> dict[str, CanLink]:
    try:
        return read_links()
    except DeviceError:
        return {}


def with_bit_rates(found: Detected, links: dict[str, CanLink]) -> Detected:
    """The profile with the bit rate that each CAN interface has now; a note where it has none."""
    channels, notes = {}, list(found.notes)
    for name, settings in found.profile.can.items():
        link = links.get(settings.channel)
        bitrate = link.bitrate if link is not None else None
        if settings.interface == "socketcan" and bitrate is None:
            notes.append(f"{settings.channel} has no bit rate yet: 500 kbit/s is the usual one, look it up")
        channels[name] = settings if bitrate is None else msgspec.structs.replace(settings, bitrate=bitrate)
    return Detected(msgspec.structs.replace(found.profile, can=channels), notes)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"--out {path}: the file exists", hint="name a new file") from error
    except OSError as error:
        raise UsageError(
            f"--out {path}: {error.strerror}", hint="name a file in a folder that can be written"
        ) from error
