"""`cardan sync verify`: every record and the account, here or at a store."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, NoDataError, RefusedError
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.cli.sync_status import data_dir_of, no_outbox, status_lines
from cardan.runtime.cli.sync_store import meant_store, open_meant
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.survey import flaws, read_rows, segments, survey
from cardan.runtime.uplink.keys.opening import open_opener
from cardan.runtime.uplink.store_audit import StoreAudit, StreamAudit, audit_store
from cardan.runtime.uplink.stores.store import StoreError


def run(arguments: argparse.Namespace) -> int:
    """1 when something is wrong, 3 where there is nothing to check."""
    data_dir = data_dir_of(arguments)
    return _verify(data_dir, arguments) if arguments.store is None else _verify_store(data_dir, arguments)


def _verify(data_dir: Path, arguments: argparse.Namespace) -> int:
    outbox = outbox_dir(data_dir)
    found = [
        {"path": row.path, "flaw": flaw}
        for row, segment in read_rows(segments(outbox))
        if (flaw := flaws(row, segment))
    ]
    classes = survey(outbox)
    if not classes:
        raise no_outbox(data_dir)
    ok = not found and all(row.exact for row in classes)
    document: dict[str, Any] = {
        "store": None,
        "ok": ok,
        "flaws": found,
        "classes": classes,
        "streams": [],
        "unread": [],
    }
    if arguments.json:
        _print_json(data_dir, document)
    else:
        head = Line("every record is whole and accounted for", "good") if ok else Line("something is wrong", "bad")
        wrong = [Line(safe_text(f"  {item['path']}: {item['flaw']}"), "bad") for item in found]
        hint = [Line("    hint: `cardan sync repair`, when no outbox runs", "faint")] if found else []
        write_lines([head, *wrong, *hint, *status_lines(classes)], sys.stdout)
    return int(Exit.HEALTHY if ok else Exit.FINDING)


def _verify_store(data_dir: Path, arguments: argparse.Namespace) -> int:
    store, audit = _audited(data_dir, arguments)
    if not audit.streams:
        raise NoDataError(f"there are no objects of ours in {store}")
    ok = not audit.unread and not any(row.missing or row.duplicates for row in audit.streams)
    if arguments.json:
        found = {"streams": audit.streams, "unread": audit.unread}
        _print_json(data_dir, {"store": store, "ok": ok, "flaws": [], "classes": [], **found})
    else:
        write_lines([*store_lines(audit.streams), *unread_lines(audit.unread)], sys.stdout)
    return int(Exit.HEALTHY if ok else Exit.FINDING)


def _audited(data_dir: Path, arguments: argparse.Namespace) -> tuple[str, StoreAudit]:
    """Where the store is, and what it holds. RefusedError when the key does not let us look."""
    meant = meant_store(arguments)
    opener = open_opener(meant.encryption_key, Path(meant.base)) if meant.encryption_key else None
    store = open_meant(meant, data_dir)
    try:
        return store.url, audit_store(store, opener)
    except StoreError as error:
        kind = RefusedError if error.kind == "access" else NoDataError
        raise kind(error.message, hint=error.hint) from error


def unread_lines(unread: list[str]) -> list[Line]:
    """Which objects could not be opened, and what that means."""
    if not unread:
        return []
    shown = [Line(safe_text(f"  {name}"), "bad") for name in unread[:20]]
    count = units.count(len(unread))
    head = f"{count} critical objects cannot be opened: what they report as given up counts as missing"
    hint = "    hint: encrypted ones need the vehicle's key: --key KEY; the others are damaged"
    return [Line(head, "bad"), *shown, Line(hint, "faint")]


def store_lines(streams: list[StreamAudit]) -> list[Line]:
    """The verdict, the account of each stream, and what is missing."""
    missing, double = sum(row.missing_count for row in streams), sum(row.duplicates for row in streams)
    if missing or double:
        head = Line(f"{units.count(missing)} records are missing and {units.count(double)} are there twice", "bad")
    else:
        head = Line("every number is at the store once, or was reported as given up", "good")
    rows = [
        (
            row.vehicle,
            row.stream,
            row.log,
            f"1-{row.highest}",
            *map(units.count, (row.delivered, row.evicted, row.missing_count, row.duplicates)),
            str(len(row.boots)),
        )
        for row in streams
    ]
    columns = ("vehicle", "class", "log", "numbers", "delivered", "evicted", "missing", "twice", "boots")
    lines = [head, *(Line(safe_text(text)) for text in table(columns, rows, "<<<<>>>>>"))]
    for row in streams:
        for first, last in row.missing[:20]:
            lines.append(Line(safe_text(f"  {row.vehicle} {row.stream} {row.log}: {first}-{last} missing"), "bad"))
    if missing:
        lines.append(
            Line("    hint: what still waits in the vehicle is missing here: `cardan sync status` there", "faint")
        )
    return lines


def _print_json(data_dir: Path, document: dict[str, Any]) -> None:
    print(msgspec.json.encode({"schema_version": 1, "data_dir": str(data_dir), **document}).decode())
