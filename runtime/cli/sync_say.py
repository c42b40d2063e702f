"""`cardan sync pause|metered|retry`: what a person wants of the uplink. It stays until there is another word."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli.control_ask import user_name
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import Place
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.status import uplink_dir
from cardan.runtime.uplink.wishes import UplinkWishes, read_wishes, write_wishes

CLASSES = tuple(kind.name.lower() for kind in RecordClass)


def run_pause(arguments: argparse.Namespace) -> int:
    """Hold classes back, or let them go."""
    chosen = _classes(arguments.classes)
    folder, before = _folder(arguments), _before(arguments)
    paused = set(before.paused) - chosen if arguments.off else set(before.paused) | chosen
    names = tuple(name for name in CLASSES if name in paused)
    return _say(arguments, folder, msgspec.structs.replace(before, paused=names))


def run_metered(arguments: argparse.Namespace) -> int:
    """Say whether the present link costs money."""
    return _say(arguments, _folder(arguments), msgspec.structs.replace(_before(arguments), metered=arguments.metered))


def run_retry(arguments: argparse.Namespace) -> int:
    """Ask to try now, also what was refused."""
    before = _before(arguments)
    return _say(arguments, _folder(arguments), msgspec.structs.replace(before, retries=before.retries + 1))


def wish_lines(wishes: UplinkWishes, data_dir: Path) -> list[Line]:
    """What is wanted now."""
    if set(wishes.paused) == set(CLASSES):
        head = Line("everything is paused", "warning")
    elif wishes.paused:
        head = Line(f"paused: {', '.join(wishes.paused)}", "warning")
    else:
        head = Line("nothing is paused", "good")
    metered = {"auto": "found out by itself", "yes": "it costs money", "no": "it does not cost money"}[wishes.metered]
    lines = [head, Line(f"  the link: {metered}")]
    if wishes.retries:
        lines.append(Line(f"  asked to try again: {wishes.retries} times"))
    who = safe_text(wishes.by)
    return [*lines, Line(f"said by {who}; of the vehicle whose data lie in {data_dir}", "faint")]


def _say(arguments: argparse.Namespace, folder: Path, wishes: UplinkWishes) -> int:
    wishes = msgspec.structs.replace(wishes, by=user_name(), wall_ns=MonotonicClock().wall_ns())
    try:
        write_wishes(folder, wishes)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}", hint="who owns it?") from error
    if arguments.json:
        document = {"data_dir": str(folder.parent), "paused": wishes.paused, "metered": wishes.metered}
        print(msgspec.json.encode({"schema_version": 1, **document, "retries": wishes.retries}).decode())
    else:
        write_lines(wish_lines(wishes, folder.parent), sys.stdout)
    return int(Exit.HEALTHY)


def _folder(arguments: argparse.Namespace) -> Path:
    return uplink_dir(Place(Path(arguments.data_dir) if arguments.data_dir else None).folder)


def _before(arguments: argparse.Namespace) -> UplinkWishes:
    return read_wishes(_folder(arguments))


def _classes(words: list[str]) -> set[str]:
    for word in words:
        if word not in CLASSES:
            raise UsageError(f'no class "{word}"', hint=near_names(word, list(CLASSES)))
    return set(words or CLASSES)
