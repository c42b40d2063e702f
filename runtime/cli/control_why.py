"""`cardan control why`: why control ended or could not begin the last time, and what came of it."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli.control_causes import last_interruption, meaning
from cardan.runtime.cli.control_facts import Change, engagement_changes
from cardan.runtime.cli.control_history import history_lines
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import find_run


def run(arguments: argparse.Namespace) -> int:
    """Print the cause; also when it was the driver: that is no finding."""
    found = find_run(arguments.data_dir)
    chain = last_interruption(engagement_changes(found))
    if arguments.json:
        said, hint = meaning(chain[0].cause) if chain else ("", "")
        cause = chain[0].cause if chain else None
        document = {"schema_version": 1, "live": found.live, "run": found.run_id, "cause": cause, "meaning": said}
        print(msgspec.json.encode({**document, "hint": hint, "changes": chain}).decode())
    else:
        write_lines(why_lines(chain), sys.stdout)
    return 0


def why_lines(chain: list[Change]) -> list[Line]:
    """The first cause first, then each change that followed."""
    if not chain:
        return [Line("control has not been interrupted in this run")]
    cause = safe_text(chain[0].cause)
    said, hint = meaning(chain[0].cause)
    first = Line(f"{cause}: {said}" if said else cause, "title")
    return [first, *([Line(f"  hint: {hint}", "faint")] if hint else []), *history_lines(chain)]
