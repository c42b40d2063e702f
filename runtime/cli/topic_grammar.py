"""What the command line may say about topics."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_json, add_place
from cardan.runtime.cli.shapes import Shape


def _add_list(parser: Parser) -> None:
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_limits(parser: Parser, default: str) -> None:
    parser.add_argument("--for", dest="duration", metavar="TIME", help=f"end after 500ms, 30s, 2m{default}")
    parser.add_argument("--count", metavar="N", help="end after N messages of each topic")


def _add_hz(parser: Parser) -> None:
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="`node/output` (default: all)")
    _add_limits(parser, " (default: 3s)")
    add_json(parser, "one JSON document")


def _add_lat(parser: Parser) -> None:
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help="`node/output` (default: all)")
    _add_limits(parser, " (default: since the run began)")
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_info(parser: Parser) -> None:
    parser.add_argument("topics", nargs=1, metavar="TOPIC", help="`node/output`")
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_echo(parser: Parser) -> None:
    parser.add_argument("topics", nargs=1, metavar="TOPIC", help="`node/output`")
    parser.add_argument("--last", metavar="N", help="print the last N messages that are there, and end")
    _add_limits(parser, " (default: until Ctrl-C)")
    add_place(parser)
    add_json(parser, "JSON Lines, one object a message")


def _add_serve(parser: Parser) -> None:
    where, until = "ipc:///... or tcp://ADDRESS:PORT (default: in the run's folder)", "(default: with the run)"
    parser.add_argument("--bind", metavar="ADDRESS", help=where)
    parser.add_argument("topics", nargs="*", metavar="PATTERN", help="`node/output`, or a pattern (default: all)")
    parser.add_argument("--key", metavar="NAME", help="our key pair; tcp needs one")
    parser.add_argument("--keys", metavar="DIR", help="folder of the keys (default: see `cardan keys list`)")
    parser.add_argument("--for", dest="duration", metavar="TIME", help=f"end after 500ms, 30s, 2m {until}")


ADD: dict[str, Callable[[Parser], None]] = {
    "list": _add_list,
    "hz": _add_hz,
    "bw": _add_hz,
    "lat": _add_lat,
    "echo": _add_echo,
    "info": _add_info,
    "serve": _add_serve,
}
MODULES = {verb: f"cardan.runtime.cli.topic_{verb}" for verb in ADD}
JSON = {
    "list": Shape("verdict, live, run, topics"),
    "hz": Shape("duration_s, topics, interval_ms"),
    "bw": Shape("duration_s, topics"),
    "lat": Shape("verdict, duration_s, topics"),
    "echo": Shape("topic, seq, epoch, valid, age_s, origin_age_s, sent_ns, origin_ns, value", lines=True),
    "info": Shape("verdict, live, run, topic"),
}
DESCRIPTIONS = {
    "list": """\
Every topic with its type, rate, age and losses, read from shared memory: the publishers do not notice.

Exit code 1 when messages were lost. Overtaken ones were not: an input that keeps the newest skips older ones.""",
    "hz": """\
Measure how often topics are published, from counters in shared memory: the publishers do not notice.""",
    "bw": """\
Measure how many bytes topics carry, from counters in shared memory: the publishers do not notice.

Pictures and other arrays lie in slots of shared memory and are not sent; their size is that of the newest ones.""",
    "lat": """\
How long messages took from sending to arrival at each reader, and how old their origin (the capture of the camera
frame behind them) was when they were sent; since the run began, or for the time of --for. Read from shared memory.

Exit code 1 when messages were older on arrival than their reader allows (max_age_s).""",
    "echo": """\
Print the messages of a topic as they come, also those of types that are not installed here.

They are read from the topic's ring in shared memory: the publisher does not notice, and --last shows what is still
there of one that is dead or hung, or of a run that has ended.

examples:
  cardan topic echo control/command --count 5
  cardan topic echo camera/frame --last 3 --json""",
    "serve": """\
Publish topics of the active run over ZeroMQ, until Ctrl-C or the end of the run. Read from outside: the nodes do not
notice. The first line on stdout is the address; who is let in or refused is said on stderr.

Without --bind only this computer can listen. tcp is always encrypted: it needs a key pair of ours, and the public key
of each client must be trusted here (`cardan keys`). Nothing can be sent into the run.

examples:
  cardan topic serve
  cardan topic serve 'camera/*' control/command
  cardan topic serve --bind tcp://0.0.0.0:7447 --key car""",
    "info": """\
One topic: its type and fields, who publishes it, how, how often; who reads it, how, and what each has lost.

Exit code 1 when messages were lost, the publisher is away, or its type is another than the one installed here.""",
}
