"""`cardan sync live`: is the vehicle at its broker, how much was told, and why the rest was not."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.cli.runs import stamp
from cardan.runtime.cli.sync_status import data_dir_of
from cardan.runtime.faults import find_fault
from cardan.runtime.live.report import LiveReport, read_report_or_none

COLUMNS = ("class", "told", "gone", "withheld", "refused")


def run(arguments: argparse.Namespace) -> int:
    """Print it; 1 when something wants somebody, 3 where nothing was ever told."""
    data_dir = data_dir_of(arguments)
    report = read_report_or_none(data_dir)
    if report is None:
        raise NoDataError(f"no node `live` has run in {data_dir}", hint="docs/live.md; --data-dir names another folder")
    if arguments.json:
        document = {"data_dir": str(data_dir), **msgspec.to_builtins(report)}
        print(msgspec.json.encode({"schema_version": 1, **document}).decode())
    else:
        write_lines(report_lines(report), sys.stdout)
    return int(Exit.FINDING if report.code else Exit.HEALTHY)


def report_lines(report: LiveReport) -> list[Line]:
    """The verdict, what helps, and the counts of each class."""
    where = f"{report.broker} as {report.vehicle}"
    if report.code:
        head = Line(safe_text(f"{report.code}: {report.text}"), "bad")
    elif report.connected:
        head = Line(safe_text(f"connected to {where}"), "good")
    else:
        head = Line(safe_text(f"not connected to {where}: {report.text}"), "warning")
    fault = find_fault(report.code)
    hint = [Line(f"  hint: {fault.cure}", "faint")] if fault is not None else []
    told = report.told.items()
    rows = [(stream, *(units.count(getattr(counts, name)) for name in COLUMNS[1:])) for stream, counts in told]
    when = stamp(report.wall_ns).strftime("%Y-%m-%d %H:%M:%S")
    return [head, *hint, *(Line(text) for text in table(COLUMNS, rows, "<>>>>")), Line(f"as of {when} UTC", "faint")]
