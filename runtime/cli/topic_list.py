"""`cardan topic list`: every topic and what was lost of it, from the vitals of the active or the last run."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.edges import verdict_on
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.summary import OK
from cardan.runtime.cli.topics import TopicRow, topic_rows
from cardan.runtime.clock import MonotonicClock

HEAD = ("topic", "type", "messages", "rate", "age", "lost", "overtaken", "late", "readers")


def run(arguments: argparse.Namespace) -> int:
    """Print the topics; 1 when messages were lost."""
    found = find_run(arguments.data_dir)
    shot = found.snapshot(MonotonicClock())
    rows = topic_rows(found.plan, shot, at_start(shot))
    lost = verdict_on([edge for row in rows for edge in row.edges])
    if arguments.json:
        document = {"schema_version": 1, "verdict": lost or OK, "live": found.live, "run": found.run_id, "topics": rows}
        print(msgspec.json.encode(document).decode())
    else:
        if not found.live:
            print("no run is active; these are the topics of the last one", file=sys.stderr)
        write_lines([verdict_line(rows, lost), *list_lines(rows)], sys.stdout)
    return int(Exit.FINDING if lost else Exit.HEALTHY)


def verdict_line(rows: list[TopicRow], lost: str) -> Line:
    """What was lost, or that nothing was. lost: as `edges.verdict_on` says it."""
    if lost:
        return Line(f"not ok: {lost}", "bad")
    sent = units.count(sum(row.published for row in rows))
    return Line(f"{OK}: {sent} messages on {units.plural(len(rows), 'topic')}, none lost", "good")


def list_lines(rows: list[TopicRow]) -> list[Line]:
    """A table; topics with losses stand out."""
    head, *texts = table(HEAD, [_cells(row) for row in rows], "<<>>>>>><")
    roles = ["warning" if row.gone or row.late else "plain" for row in rows]
    return [Line(head, "title"), *(Line(text, role) for text, role in zip(texts, roles, strict=True))]


def _cells(row: TopicRow) -> tuple[str, ...]:
    return (
        cut(row.topic, 40),
        cut(row.type.partition(":")[2], 24),
        units.count(row.published),
        units.rate(row.rate_hz),
        units.age(row.age_s),
        units.count(row.gone),
        units.count(row.overtaken),
        units.count(row.late),
        cut(" ".join(row.readers), 60) or units.NOTHING,
    )
