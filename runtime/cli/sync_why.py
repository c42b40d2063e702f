"""`cardan sync why`: why something is not at the store, from facts on the disk."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import Place, stamp
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.uplink.status import SyncReport
from cardan.runtime.uplink.why import Reason, SyncFacts, read_facts, reasons


def run(arguments: argparse.Namespace) -> int:
    """Print the reasons; 1 when one of them wants somebody, 3 where there never was an outbox."""
    data_dir = Place(Path(arguments.data_dir) if arguments.data_dir else None).folder
    facts = read_facts(data_dir, MonotonicClock().wall_ns())
    if facts is None:
        raise NoDataError(f"there is no outbox in {data_dir}", hint="`cardan up`; --data-dir names another folder")
    found = reasons(facts)
    if arguments.json:
        document = {
            "data_dir": str(data_dir),
            "waiting": facts.waiting,
            "reasons": found,
            "files": facts.files,
            "running": facts.running,
            "report": facts.report,
        }
        print(msgspec.json.encode({"schema_version": 1, **document}).decode())
    else:
        write_lines(why_lines(facts, found), sys.stdout)
    return int(Exit.FINDING if any(reason.finding for reason in found) else Exit.HEALTHY)


def why_lines(facts: SyncFacts, found: list[Reason]) -> list[Line]:
    """The first cause, every cause with what to do about it, then where data would go."""
    waits = sum(waiting.records for waiting in facts.waiting.values())
    first = found[0]
    role = "good" if not any(reason.finding for reason in found) else "bad" if first.finding else "warning"
    files = len(facts.files)
    things = [counted(waits, "record"), counted(files, "file")]
    waiting = " and ".join(thing for thing in things if thing)
    verb = "waits" if waits + files == 1 else "wait"
    head = f"{waiting} {verb}: {safe_text(first.text)}" if waiting else safe_text(first.text)
    lines = [Line(head, role)]
    for reason in found:
        who = f"  [{', '.join(reason.classes)}]" if reason.classes else ""
        if reason is not first or who:
            lines.append(Line(f"  {reason.code}: {safe_text(reason.text)}{who}"))
        if reason.hint:
            lines.append(Line(f"    hint: {safe_text(reason.hint)}", "faint"))
    counts = ", ".join(f"{name} {waiting.records}" for name, waiting in facts.waiting.items() if waiting.records)
    if counts:
        lines.append(Line(f"waiting: {counts}"))
    if facts.files:
        size = units.size(sum(note.size for note in facts.files))
        lines.append(Line(f"files that wait: {size}, the oldest is {facts.files[0].name}"))
    return lines + (_where(facts.report) if facts.report is not None else [])


def counted(count: int, thing: str) -> str:
    """`1 record`, `2 records`, and nothing for none."""
    return f"{count} {thing}{'' if count == 1 else 's'}" if count else ""


def _where(report: SyncReport) -> list[Line]:
    link = report.link
    over = "" if link.kind in ("local", "none") else f" over {link.interface} ({link.kind})"
    money = f", which {'costs' if link.metered else 'does not cost'} money: {link.because}" if over else ""
    lines = [Line(safe_text(f"store: {report.store}{over}{money}"), "faint")]
    for name, left in report.left_bytes.items():
        lines.append(Line(f"budget: {units.size(left)} of {name} may leave now over {link.kind} links", "faint"))
    if report.last_delivery_wall_ns is not None:
        when = stamp(report.last_delivery_wall_ns).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(Line(f"last delivery: {when} UTC", "faint"))
    return lines
