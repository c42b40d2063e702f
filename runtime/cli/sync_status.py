"""`cardan sync status`: the account of the outbox."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.cli.runs import Place
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.ledger import total
from cardan.runtime.outbox.survey import ClassSurvey, survey


def run(arguments: argparse.Namespace) -> int:
    """Print the account; 1 when it does not add up or something was lost, 3 where there never was an outbox."""
    data_dir = data_dir_of(arguments)
    classes = survey(outbox_dir(data_dir))
    if not classes:
        raise no_outbox(data_dir)
    exact = all(row.exact for row in classes)
    if arguments.json:
        document = {"data_dir": str(data_dir), "exact": exact, "classes": classes}
        print(msgspec.json.encode({"schema_version": 1, **document}).decode())
    else:
        write_lines(status_lines(classes), sys.stdout)
    lost = any(row.ledger.damaged or row.ledger.unknown for row in classes)
    return int(Exit.FINDING if lost or not exact else Exit.HEALTHY)


def data_dir_of(arguments: argparse.Namespace) -> Path:
    """The data folder that is meant."""
    return Place(Path(arguments.data_dir) if arguments.data_dir else None).folder


def no_outbox(data_dir: Path) -> NoDataError:
    """There is nothing to look at."""
    return NoDataError(f"there is no outbox in {data_dir}", hint="`cardan up`; --data-dir names another folder")


def status_lines(classes: list[ClassSurvey]) -> list[Line]:
    """The verdict, the account of each class, and the numbers of each boot."""
    ledger = total(row.ledger for row in classes)
    lost = ledger.damaged + ledger.unknown
    if not all(row.exact for row in classes):
        head = Line(f"the account does not add up: {ledger}", "bad")
    elif lost:
        head = Line(f"{units.count(lost)} records were lost on this disk: {ledger}", "bad")
    else:
        head = Line(f"the account is exact: {ledger}", "good")
    columns = ("class", "produced", "delivered", "pending", "evicted", "damaged", "unknown", "size")
    rows = [
        (
            row.stream,
            *(units.count(getattr(row.ledger, name)) for name in columns[1:-1]),
            units.size(row.bytes),
        )
        for row in classes
    ]
    lines = [head, *(Line(text) for text in table(columns, rows, "<>>>>>>>"))]
    boots = [
        (boot.boot[:8], row.stream, f"{boot.first}-{boot.last}", str(boot.waiting))
        for row in classes
        for boot in row.boots
        if boot.last >= boot.first
    ]
    if boots:
        lines += [Line(""), *(Line(safe_text(text), "faint") for text in _boot_table(boots))]
    damaged = sum(row.damaged_files for row in classes)
    if damaged:
        lines.append(Line(f"{damaged} damaged files are kept: `cardan sync ls`", "warning"))
    return lines


def _boot_table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    return table(("boot", "class", "numbers", "waiting here"), rows, "<<<>")
