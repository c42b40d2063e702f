"""The grammar of `cardan node`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_data_dir, add_json, add_place
from cardan.runtime.cli.shapes import Shape


def _add_list(parser: Parser) -> None:
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_info(parser: Parser) -> None:
    parser.add_argument("node", metavar="NODE", help="its name in the manifest")
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_restart(parser: Parser) -> None:
    parser.add_argument("node", metavar="NODE", help="its name in the manifest")
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_types(parser: Parser) -> None:
    add_json(parser, "one JSON document")


def _add_type(parser: Parser) -> None:
    parser.add_argument("use", metavar="USE", help="as a manifest names it: `recorder`, or `module:Class`")
    parser.add_argument(
        "--beside", metavar="MANIFEST|DIR", default=".", help="where modules of your own lie (default: .)"
    )
    add_json(parser, "one JSON document")


ADD: dict[str, Callable[[Parser], None]] = {
    "list": _add_list,
    "info": _add_info,
    "restart": _add_restart,
    "types": _add_types,
    "type": _add_type,
}
MODULES = {verb: f"cardan.runtime.cli.node_{verb}" for verb in ADD}
_ROW = (
    "name, use, state, pid, core_group, scheduling, restart, starts, steps, rate_hz, rate_wanted_hz, step_age_s, "
    "step_ms, late_ms, overruns, missed, crashes, hangs, exit_code, fault_code, fault_text, condition"
)
JSON = {
    "list": Shape(f"verdict, live, run, nodes ({_ROW})"),
    "info": Shape("verdict, live, run, node, differences, taken, inputs, outputs, metrics, log"),
    "restart": Shape("verdict, node, starts"),
    "types": Shape("types (use, about, path)"),
    "type": Shape("use, path, about, rate_hz, stepped_by, inputs, outputs, metrics, settings"),
}
DESCRIPTIONS = {
    "list": """\
Every node of the run: its state, how often it steps, how long that takes, how late it begins, how often it was started.
Of the last run when none is active. Exit code 1 when one of them has a fault or is away.""",
    "info": """\
Everything about one node of a run: its process and what that was to have, every input with age and losses, every
output, every metric, and the last lines of its log. Exit code 1 when it has a fault or is away.

examples:
  cardan node info control
  cardan node info camera --bundle K7M4QP.cardan.zip""",
    "restart": """\
End a node's process and wait until the supervisor has started it again. Only while the vehicle stands still and nobody
but the driver drives: else it is refused, with the reason (exit code 4).""",
    "types": """\
What `use` of a manifest may name: the nodes that are installed, ours and those of other packages (entry points of the
group cardan.nodes).""",
    "type": """\
What a node class reads, says and measures, and every setting that its table `config` may have, with default and
meaning.

examples:
  cardan node type recorder
  cardan node type drivers.load_meter:LoadMeter --beside examples/own_node""",
}
