"""`cardan node list`: every node of the active run, or of the last one."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import write_lines
from cardan.runtime.cli.node_rows import node_rows, row_lines, verdict_line, verdict_of_nodes
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.summary import OK
from cardan.runtime.clock import MonotonicClock


def run(arguments: argparse.Namespace) -> int:
    """Print them; 1 when one has a fault or is away."""
    found = find_run(arguments.data_dir)
    rows = node_rows(found.snapshot(MonotonicClock()))
    verdict = verdict_of_nodes(rows, live=found.live)
    if arguments.json:
        document = {"schema_version": 1, "verdict": verdict, "live": found.live, "run": found.run_id, "nodes": rows}
        print(msgspec.json.encode(document).decode())
    else:
        if not found.live:
            print("no run is active; these are the nodes of the last one", file=sys.stderr)
        write_lines([verdict_line(verdict, units.plural(len(rows), "node")), *row_lines(rows)], sys.stdout)
    return int(Exit.HEALTHY if verdict == OK else Exit.FINDING)
