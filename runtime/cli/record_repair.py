"""`cardan record repair`: give a recording whose recorder was killed its index and its end."""

from __future__ import annotations

import argparse
import sys

from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.record_files import all_files, find_files, folder_of
from cardan.runtime.record.repair import is_finished, repair


def run(arguments: argparse.Namespace) -> int:
    """Repair the named recording, or every unfinished one; what is being written at this moment is left alone."""
    named = arguments.recording
    paths = find_files(named, arguments.data_dir) if named else all_files(folder_of(arguments.data_dir))
    left = 0
    for path in [path for path in paths if not is_finished(path)]:
        done = repair(path)
        if done is None:
            left += 1
            print(f"{path}: somebody writes it at this moment", file=sys.stderr)
            continue
        damaged = f", {done.damaged_chunks} damaged chunks left out" if done.damaged_chunks else ""
        print(f"{path}: {done.messages} messages in {done.chunks} chunks kept{damaged}")
    if not left:
        print("all recordings are whole")
    return int(Exit.FINDING if left else Exit.HEALTHY)
