"""`cardan control limits`: the envelope of a run as declared, and the hash that control and bridge compare."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.foreign import one_line
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import find_run
from cardan.runtime.plan import Plan


def run(arguments: argparse.Namespace) -> int:
    """Print the limits."""
    found = find_run(arguments.data_dir)
    if not found.plan.envelope:
        raise NoDataError(f"{found.plan.name} has no envelope", hint="without limits a bridge does not start")
    if arguments.json:
        known: dict[str, Any] = {"hash": found.plan.envelope_hash, "envelope": found.plan.envelope}
        print(msgspec.json.encode({"schema_version": 1, "live": found.live, "run": found.run_id, **known}).decode())
    else:
        write_lines(limit_lines(found.plan), sys.stdout)
    return 0


def limit_lines(plan: Plan) -> list[Line]:
    """The hash first, then each signal with its limits."""
    lines = [Line(f"{plan.envelope_hash}  envelope of {plan.name}", "title")]
    for signal, limits in plan.envelope.items():
        lines.append(Line(safe_text(signal), "title"))
        width = max(map(len, limits), default=0)
        lines += [Line(f"  {safe_text(key):<{width}}  {one_line(value)}") for key, value in limits.items()]
    lines.append(Line("what is not declared is as in ISO 15622 and ISO 11270; see docs/safety.md", "faint"))
    return lines
