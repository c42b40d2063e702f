"""The grammar of `cardan can ...`, and nothing that takes time to import."""

from __future__ import annotations

from cardan.runtime.cli.parser import Parser, add_place
from cardan.runtime.cli.shapes import Shape

MODULES = {
    "list": "cardan.firmware_bridge.cli.can_list",
    "health": "cardan.firmware_bridge.cli.can_health",
    "dump": "cardan.firmware_bridge.cli.can_dump",
    "decode": "cardan.firmware_bridge.cli.can_decode",
    "sniff": "cardan.firmware_bridge.cli.can_sniff",
}

FRAME = "stamp_ns, channel, id, extended, fd, error, remote, direction, data"
JSON = {
    "list": Shape("source, live, channels, interfaces"),
    "health": Shape("verdict, source, live, channels (channel, findings, load, frames, ...)"),
    "dump": Shape(FRAME, lines=True),
    "decode": Shape(f"{FRAME}, message, verdict, signals (value, unit)", lines=True),
    "sniff": Shape("source, live, ids (channel, id, message, count, rate_hz, data, changed_bytes, ...)"),
}

DESCRIPTIONS = {
    "list": """\
The CAN channels of the running vehicle (else of the last run, or of a profile) with the nodes that have them open, and
the CAN interfaces of this computer.""",
    "health": """\
Listen for a moment, and say for each bus whether it is healthy: state of the controller, TEC and REC, load, error
frames, messages that should be there and are not, wrong checksums and counters, and the known traps of adapters and
their settings, each with the fix. Of a running vehicle also what its nodes report; without one of any interface; of the
last run what was recorded.

examples:
  cardan can health
  cardan can health can0 --dbc powertrain.dbc""",
    "dump": """\
Frames as the lines of `candump -l`, which `cardan can decode`, a `can-replay` node and can-utils read again.

examples:
  cardan can dump --id 2E4 --count 10
  cardan can dump vehicle --for 30s > drive.log
  cardan can dump drive.mcap --id 0B0:7F0""",
    "decode": """\
Frames with the names and units of a DBC, and a verdict on length, checksum and counter of each. Frames that the DBC
does not know are counted. Exit code 1 when a verdict was bad.

examples:
  cardan can decode --id STEERING_COMMAND
  cardan can decode drive.log.gz --dbc can0=powertrain.dbc --dbc can1=radar.dbc""",
    "sniff": """\
One row for each identifier: rate, newest data with the changed bytes marked, and signals where a DBC names them. Live
on a terminal; elsewhere, and of a file, one table.""",
}


def _add_source(parser: Parser) -> None:
    where = "default: every channel of the running vehicle, else of the last run"
    parser.add_argument("source", nargs="?", metavar="CHANNEL|INTERFACE|FILE", help=where)
    parser.add_argument("--profile", metavar="NAME|FILE", help="listen to the channels of a hardware profile")
    add_place(parser)
    parser.add_argument("--channel", metavar="NAME", help="frames of one channel only, of a file with several")


def _add_filter(parser: Parser, names: str) -> None:
    ids = f"identifier in hex, ID:MASK{names}; may be given again"
    parser.add_argument("--id", dest="ids", action="append", metavar="ID", help=ids)
    parser.add_argument("--count", metavar="N", help="end after N frames")


def _add_time(parser: Parser, text: str) -> None:
    parser.add_argument("--for", dest="duration", metavar="TIME", help=text)


def _add_meaning(parser: Parser) -> None:
    dbc = "how frames are read (default: the vehicle's own); for each channel its own with CHANNEL=FILE"
    parser.add_argument("--dbc", action="append", metavar="[CHANNEL=]FILE", help=dbc)
    vehicle = "the same by the name of a known vehicle"
    parser.add_argument("--vehicle", action="append", metavar="[CHANNEL=]NAME", help=vehicle)


def _add_list(parser: Parser) -> None:
    parser.add_argument("--profile", metavar="NAME|FILE", help="channels of a hardware profile instead of a run's")
    add_place(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_dump(parser: Parser) -> None:
    _add_source(parser)
    _add_filter(parser, "")
    _add_time(parser, "end after 500ms, 30s, 2m (of a file: recorded time)")
    parser.add_argument("--json", action="store_true", help="print JSON Lines, one object a frame, on stdout")


def _add_decode(parser: Parser) -> None:
    _add_source(parser)
    _add_meaning(parser)
    _add_filter(parser, " or the name of a message")
    _add_time(parser, "end after 500ms, 30s, 2m (of a file: recorded time)")
    parser.add_argument("--json", action="store_true", help="print JSON Lines, one object a frame, on stdout")


def _add_sniff(parser: Parser) -> None:
    _add_source(parser)
    _add_meaning(parser)
    _add_filter(parser, " or the name of a message")
    _add_time(parser, "end after 500ms, 30s, 2m (default: on a terminal Ctrl-C, else 2s; of a file: its end)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_health(parser: Parser) -> None:
    _add_source(parser)
    _add_meaning(parser)
    _add_time(parser, "listen for so long (default: 2s); of a file or the last run: its first so long (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


ADD = {
    "list": _add_list,
    "health": _add_health,
    "dump": _add_dump,
    "decode": _add_decode,
    "sniff": _add_sniff,
}
