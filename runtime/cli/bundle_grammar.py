"""The grammar of `cardan bundle`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_data_dir, add_json
from cardan.runtime.cli.shapes import Shape


def _add_taken_out(parser: Parser) -> None:
    parser.add_argument("--no-positions", action="store_true", help="leave out messages with latitude or longitude")
    parser.add_argument(
        "--out", metavar="FILE", help="where it goes (default: the folder `bundles` of the data folder)"
    )


def _add_make(parser: Parser) -> None:
    _add_taken_out(parser)
    parser.add_argument("--pictures", action="store_true", help="with camera pictures, as far as there is room")
    parser.add_argument("--size", metavar="MB", default="20", help="about so large at most (default: 20)")
    parser.add_argument("--hurry", action="store_true", help="do not spare the processor of a vehicle that runs")
    parser.add_argument("--send", action="store_true", help="put it into the outbox, which sends it when it may")
    parser.add_argument("--at", metavar="TIME", help="of the run at that time (default: the active, else the last one)")
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_open(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a bundle")
    add_json(parser, "one JSON document")


def _add_send(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a bundle")
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_list(parser: Parser) -> None:
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_redact(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a bundle")
    _add_taken_out(parser)
    add_json(parser, "one JSON document")


ADD: dict[str, Callable[[Parser], None]] = {
    "make": _add_make,
    "open": _add_open,
    "send": _add_send,
    "list": _add_list,
    "redact": _add_redact,
}
MODULES = {verb: f"cardan.runtime.cli.bundle_{verb}" for verb in ADD}
DESCRIPTIONS = {
    "make": """\
Collect what is needed to answer every question elsewhere: event log, vitals, plan, kept messages, earlier runs,
manifest and models, account of the outbox, arming checks, versions, the report of the doctor, messages of the kernel,
and the recording around each fault. Secrets and vehicle identification numbers are taken out, and pictures unless asked
for.

Each collector has a time limit and a process of its own; those that failed are named (exit code 1). Beside a vehicle
that runs it takes a tenth of a processor, and up to ten seconds; --hurry takes what there is. A bundle that was
killed in the making goes on where it was. Its id is made to be read over the phone.

examples:
  cardan bundle make
  cardan bundle make --at 14:32 --no-positions --send""",
    "open": """\
What a bundle is of, how each of its collectors ended, and where it lies opened. Every looking command takes it as
--bundle FILE.""",
    "send": """\
Keep a bundle for the store, to which the uplink brings it when it may; `cardan sync why` says what it waits for. Needs
no active run. Exit code 4 without consent to diagnostics.""",
    "list": """\
The bundles that were made on this computer.""",
    "redact": """\
Take more out of a bundle and write what is left as another one, with the same id.""",
}
_HEADER = (
    "id, file, bytes, run, made, vehicle, computer, was_live, redacted, "
    "collectors (name, ok, text, files, bytes, seconds)"
)
JSON = {
    "make": Shape(f"{_HEADER}, verdict, sent"),
    "open": Shape(f"{_HEADER}, verdict, folder"),
    "send": Shape("id, file, name"),
    "list": Shape("bundles (id, file, bytes, run, made)"),
    "redact": Shape(_HEADER),
}
