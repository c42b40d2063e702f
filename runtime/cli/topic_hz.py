"""`cardan topic hz`: how often topics are published, measured between two looks at the vitals."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.measure import limits_of, measure
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.topics import TopicRow, chosen, require_topics, topic_rows
from cardan.runtime.clock import MonotonicClock

HEAD = ("topic", "messages", "rate", "bytes/s", "age", "lost")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 3 when nothing was published, 1 when a topic that was asked for is silent."""
    limits = limits_of(arguments)
    found = find_run(None, must_live=True)
    require_topics(found.plan, arguments.topics)
    looks = measure(found, MonotonicClock(), arguments.topics, limits)
    rows = chosen(topic_rows(found.plan, looks.now, looks.before), arguments.topics)
    if arguments.json:
        print(msgspec.json.encode({"schema": 1, "duration_s": round(looks.span_s, 3), "topics": rows}).decode())
    else:
        write_lines(hz_lines(rows), sys.stdout)
    return int(silence(rows, named=bool(arguments.topics)))


def hz_lines(rows: list[TopicRow]) -> list[Line]:
    """A table; silent topics stand out."""
    head, *texts = table(HEAD, [_cells(row) for row in rows], "<>>>>>")
    roles = ["plain" if row.published else "warning" for row in rows]
    return [Line(head, "title"), *(Line(text, role) for text, role in zip(texts, roles, strict=True))]


def _cells(row: TopicRow) -> tuple[str, ...]:
    return (
        cut(row.topic, 40),
        units.count(row.published),
        units.rate(row.rate_hz),
        units.size(row.bytes_per_s),
        units.age(row.age_s),
        units.count(row.gone),
    )


def silence(rows: list[TopicRow], *, named: bool) -> Exit:
    """The exit code of a measurement: all silent is no data; silent ones are a finding if they were asked for."""
    silent = [row.topic for row in rows if not row.published]
    if silent and len(silent) == len(rows):
        return Exit.UNREACHABLE
    return Exit.FINDING if silent and named else Exit.HEALTHY
