"""The grammar of `cardan sync`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_data_dir, add_json
from cardan.runtime.cli.shapes import Shape


def _add_consent(parser: Parser) -> None:
    parser.add_argument(
        "action", nargs="?", default="show", choices=("show", "give", "withdraw"), help="show (default), give, withdraw"
    )
    parser.add_argument("purposes", nargs="*", metavar="PURPOSE", help="operation, diagnostics, improvement, or all")
    add_data_dir(parser)
    add_json(parser, "one JSON document")


ADD: dict[str, Callable[[Parser], None]] = {
    "consent": _add_consent,
}

DESCRIPTIONS = {
    "consent": """\
What data of this vehicle may be kept and may leave, by purpose. What a person says here counts at once and beats the
manifest; without a word the manifest's [privacy] table decides. Nothing is kept for a purpose without consent.

Exit code 1 when there is consent to nothing.

examples:
  cardan sync consent
  cardan sync consent give improvement
  cardan sync consent withdraw all""",
}

JSON = {
    "consent": Shape("data_dir, consented, purposes (purpose, given, by, wall_ns), problem"),
}

MODULES = {verb: f"cardan.runtime.cli.sync_{verb}" for verb in ADD}
