"""`cardan control history`: every change of engagement of a run, each with its one cause."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli.control_facts import Change, engagement_changes
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.runs import find_run, stamp

HEAD = ("time (UTC)", "from", "to", "cause")


def run(arguments: argparse.Namespace) -> int:
    """Print the changes, oldest first."""
    found = find_run(arguments.data_dir)
    history = engagement_changes(found)
    if arguments.json:
        document = {"schema_version": 1, "live": found.live, "run": found.run_id, "changes": history}
        print(msgspec.json.encode(document).decode())
        return 0
    write_lines(history_lines(history), sys.stdout)
    if found.live:
        print("`cardan control state` is now", file=sys.stderr)
    return 0


def history_lines(history: list[Change]) -> list[Line]:
    """A table, or the one line that nothing has changed."""
    if not history:
        return [Line("no change of engagement")]
    head, *texts = table(HEAD, [_cells(change) for change in history], "<<<<")
    return [Line(head, "title"), *map(Line, texts)]


def _cells(change: Change) -> tuple[str, ...]:
    when = stamp(change.wall_ns).isoformat(sep=" ", timespec="milliseconds").split("+")[0]
    return when, cut(change.before, 20), cut(change.after, 20), cut(change.cause, 100)
