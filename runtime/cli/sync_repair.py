"""`cardan sync repair`: set damaged files aside and offer what is whole in them, when no outbox runs."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli.exits import Exit, RefusedError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.sync_status import data_dir_of, no_outbox, status_lines
from cardan.runtime.errors import DeviceError
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.recovery import repair
from cardan.runtime.outbox.survey import survey


def run(arguments: argparse.Namespace) -> int:
    """1 when something was set aside, 4 while an outbox runs here."""
    data_dir = data_dir_of(arguments)
    if not survey(outbox_dir(data_dir)):
        raise no_outbox(data_dir)
    try:
        aside = repair(outbox_dir(data_dir))
    except DeviceError as error:
        raise RefusedError("an outbox runs here, or the uplink does", hint="end the run, then try again") from error
    classes = survey(outbox_dir(data_dir))
    if arguments.json:
        document = {"data_dir": str(data_dir), "classes": classes, "set_aside": [str(path) for path in aside]}
        print(msgspec.json.encode({"schema_version": 1, **document}).decode())
    else:
        head = Line(f"{len(aside)} damaged files were set aside", "warning") if aside else Line("all is whole", "good")
        write_lines([head, *(Line(safe_text(f"  {path}")) for path in aside), *status_lines(classes)], sys.stdout)
    return int(Exit.FINDING if aside else Exit.HEALTHY)
