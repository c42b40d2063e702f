"""The grammar of `cardan downlink`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_data_dir, add_json
from cardan.runtime.cli.shapes import Shape

FORMS = """\
A command in TOML:          A campaign in TOML:
  kind = "command"            kind = "campaign"
  verb = "ping"               name = "hard-brake"
  vehicles = ["car-7"]        version = 1
                              vehicles = ["*"]
                              expires = 2027-03-01T00:00:00Z
                              purpose = "improvement"
                              max_bytes = 5_000_000
                              [[collect]]
                              topics = ["state/vehicle", "bridge/verdict"]
                              when = "state/vehicle.accel_mps2 < -4"
                              before_s = 5
                              after_s = 5"""


def _add_sign(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a command or a campaign, TOML")
    parser.add_argument("--key", required=True, metavar="FILE", help="private key: NAME.key")
    parser.add_argument("--out", metavar="FILE", help="write it there (default: stdout)")


def _add_check(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a campaign, TOML")
    parser.add_argument("recording", nargs="?", default="last", metavar="RECORDING", help="default: the last one")
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_list(parser: Parser) -> None:
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_take(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a signed command or campaign")
    add_data_dir(parser)


ADD: dict[str, Callable[[Parser], None]] = {
    "list": _add_list,
    "check": _add_check,
    "sign": _add_sign,
    "take": _add_take,
}

DESCRIPTIONS = {
    "list": """\
Campaigns and commands that this vehicle remembers, by whom they were signed, and what became of them. Read from the
disk: also when nothing runs.

Exit code 1 when a campaign rests or a command failed.""",
    "check": f"""\
Hold a campaign to the vehicle of a recording, and say what it would have collected while that was made: how often each
condition fired, records, bytes. Nothing is kept.

{FORMS}

Exit code 1 when the recording alone would have spent its budget.

examples:
  cardan downlink check hard-brake.toml
  cardan downlink check hard-brake.toml 20261121-081500-4eb9""",
    "sign": f"""\
Sign a command or a campaign, for vehicles that trust the key (NAME.pub in the folder `keys` of the node `downlink`;
`cardan engine new-key` makes a pair). A command without an id gets one, and without a deadline one in an hour.

{FORMS}

examples:
  cardan downlink sign ping.toml --key ops.key
  cardan downlink sign hard-brake.toml --key ops.key --out hard-brake.json""",
    "take": """\
Give a signed command or campaign to the vehicle of this computer, as if it had come over the broker: from a stick, when
there is no network. It is judged by the node `downlink` like any other.""",
}

JSON = {
    "list": Shape(
        "data_dir, campaigns (name, version, key, purpose, spent_bytes, max_bytes, expires_s, ended), "
        "commands (id, verb, key, deadline_s, state, reason, text)"
    ),
    "check": Shape(
        "fits, campaign, recording, duration_s, records, bytes, max_bytes, unreadable, "
        "collects (topics, when, fired, records, bytes)"
    ),
}

MODULES = {verb: f"cardan.runtime.cli.downlink_{verb}" for verb in ADD}
