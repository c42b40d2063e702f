"""`cardan node restart`: end a node's process and wait until the supervisor has brought it back."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.acting import confirm, require_standing
from cardan.runtime.cli.exits import Exit, RefusedError
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.node_rows import require_node
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.summary import OK
from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.restart import BACK_WITHIN_S, Restart, against_restart

LOOK_NS = ns(0.02)


def run(arguments: argparse.Namespace) -> int:
    """Restart it; 1 when it is not back within BACK_WITHIN_S, 4 when it must not be ended."""
    clock = MonotonicClock()
    found = find_run(arguments.data_dir, must_live=True)
    node = require_node(found.snapshot(clock), arguments.node).plan
    reason = against_restart(node)
    if reason:
        raise RefusedError(f"refused: {reason}", hint="stop the run and start it again")
    require_standing(found, clock)
    confirm(f"restart {node.name} of {found.title}", yes=arguments.yes)
    begun = Restart.begin(node.name, found.vitals.nodes[node.name], clock)
    if begun is None:
        state = found.vitals.nodes[node.name].state.name.lower()
        raise RefusedError(f"refused: {node.name} is {state}, it has nothing to end", hint="`cardan why restart`")
    began_ns = clock.now_ns()
    while (back := begun.poll()) is None:
        clock.sleep_until_ns(clock.now_ns() + LOOK_NS)
    verdict = OK if back else f"{node.name} is {begun.state} after {BACK_WITHIN_S:g} s"
    if arguments.json:
        document = {"schema_version": 1, "verdict": verdict, "node": node.name, "starts": begun.starts}
        print(msgspec.json.encode(document).decode())
    else:
        took = units.age((clock.now_ns() - began_ns) / 1e9)
        text = f"{OK}: {node.name} is back after {took}, start {begun.starts}" if back else f"not ok: {verdict}"
        write_lines([Line(text, "good" if back else "bad")], sys.stdout)
    return int(Exit.HEALTHY if back else Exit.FINDING)
