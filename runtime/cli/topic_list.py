"""`cardan topic list`: every topic, from the vitals of the active or the last run."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.topics import TopicRow, topic_rows
from cardan.runtime.clock import MonotonicClock

HEAD = ("topic", "type", "messages", "rate", "age", "lost", "readers")


def run(arguments: argparse.Namespace) -> int:
    """Print the topics."""
    found = find_run(arguments.data_dir)
    shot = found.snapshot(MonotonicClock())
    rows = topic_rows(found.plan, shot, at_start(shot))
    if arguments.json:
        print(msgspec.json.encode({"schema": 1, "live": found.live, "run": found.run_id, "topics": rows}).decode())
        return 0
    if not found.live:
        print("no run is active; these are the topics of the last one", file=sys.stderr)
    write_lines(list_lines(rows), sys.stdout)
    return 0


def list_lines(rows: list[TopicRow]) -> list[Line]:
    """A table; topics with losses stand out."""
    head, *texts = table(HEAD, [_cells(row) for row in rows], "<<>>>><")
    roles = ["warning" if row.lost or row.dropped else "plain" for row in rows]
    return [Line(head, "title"), *(Line(text, role) for text, role in zip(texts, roles, strict=True))]


def _cells(row: TopicRow) -> tuple[str, ...]:
    return (
        cut(row.topic, 40),
        cut(row.type.partition(":")[2], 24),
        units.count(row.published),
        units.rate(row.rate_hz),
        units.age(row.age_s),
        units.count(row.lost + row.dropped),
        cut(" ".join(row.readers), 60) or units.NOTHING,
    )
