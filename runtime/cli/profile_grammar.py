"""The grammar of `cardan profile`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_json
from cardan.runtime.cli.shapes import Shape


def _add_list(parser: Parser) -> None:
    add_json(parser, "one JSON document")


def _add_show(parser: Parser) -> None:
    parser.add_argument("profile", nargs="?", metavar="NAME|FILE", default="bench", help="default: bench")
    add_json(parser, "one JSON document")


def _add_detect(parser: Parser) -> None:
    parser.add_argument("--name", metavar="NAME", help="name of the profile (default: that of the computer)")
    parser.add_argument("--out", metavar="FILE", help="write it there (default: print it)")
    parser.add_argument("--root", metavar="DIR", default="/", help="of the computer that is looked at (default: /)")
    add_json(parser, "one JSON document")


ADD: dict[str, Callable[[Parser], None]] = {"list": _add_list, "show": _add_show, "detect": _add_detect}
MODULES = {
    "list": "cardan.runtime.cli.profile_list",
    "show": "cardan.runtime.cli.profile_show",
    "detect": "cardan.drivers.cli.profile_detect",
}
JSON = {
    "list": Shape("profiles (name, description, path)"),
    "show": Shape("path, profile"),
    "detect": Shape("path, profile, notes"),
}
DESCRIPTIONS = {
    "list": """\
The hardware profiles that are shipped with cardan. A manifest names one of them, or a file of its own.""",
    "show": """\
What a profile says: core groups, scheduling, CAN channels, accelerator, disks, links, temperatures, watchdog, devices.
Exit code 1 when it has findings.""",
    "detect": """\
Write the profile of this computer: processors in groups, limits for real time, CAN channels, accelerator, disks, links,
temperatures, watchdog, cameras and serial devices by paths that stay. Read from /sys and /proc: no device is opened, no
privilege is needed. What was not found, or wants your decision, is a note. `cardan doctor --profile FILE` says later
what has changed.

examples:
  cardan profile detect
  cardan profile detect --name roof_computer --out roof.toml
  cardan up --profile roof.toml""",
}
