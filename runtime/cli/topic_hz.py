"""`cardan topic hz`: how often topics are published, measured between two looks at the vitals."""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise

import msgspec

from cardan.runtime.bus.envelope import Header
from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.measure import Looks, limits_of, measure
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.spread import jitter_of, spread_cells
from cardan.runtime.cli.summary import Jitter
from cardan.runtime.cli.tap import ALL, last_messages
from cardan.runtime.cli.topics import TopicRow, chosen, require_topics, topic_rows
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import BusError

HEAD = ("topic", "messages", "rate", "interval p50", "p99", "max", "age", "lost")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 3 when nothing was published, 1 when a topic that was asked for is silent."""
    limits = limits_of(arguments)
    found = find_run(None, must_live=True)
    require_topics(found.plan, arguments.topics)
    looks = measure(found, MonotonicClock(), arguments.topics, limits)
    rows = chosen(topic_rows(found.plan, looks.now, looks.before), arguments.topics)
    intervals = {row.topic: _interval(found, row.topic, looks) for row in rows}
    if arguments.json:
        document = {"schema_version": 1, "duration_s": round(looks.span_s, 3), "topics": rows, "interval_ms": intervals}
        print(msgspec.json.encode(document).decode())
    else:
        write_lines(hz_lines(rows, intervals), sys.stdout)
    return int(silence(rows, named=bool(arguments.topics)))


def _interval(found: FoundRun, topic: str, looks: Looks) -> Jitter | None:
    """From one message to the next within the measurement, by their stamps; None where none are kept."""
    try:
        kept = last_messages(found, topic, ALL, MonotonicClock())
    except BusError:
        return None
    return interval_ms([heard.header for heard in kept], looks.before.taken_ns, looks.now.taken_ns)


def interval_ms(headers: list[Header], begin_ns: int, end_ns: int) -> Jitter | None:
    """How the time between messages of one publisher process spreads."""
    within = [header for header in headers if begin_ns <= header.sent_ns <= end_ns]
    pairs = [(one, two) for one, two in pairwise(within) if one.epoch == two.epoch]
    return jitter_of([two.sent_ns - one.sent_ns for one, two in pairs])


def hz_lines(rows: list[TopicRow], intervals: dict[str, Jitter | None]) -> list[Line]:
    """A table; silent topics stand out."""
    head, *texts = table(HEAD, [_cells(row, intervals[row.topic]) for row in rows], "<>>>>>>>")
    roles = ["plain" if row.published else "warning" for row in rows]
    return [Line(head, "title"), *(Line(text, role) for text, role in zip(texts, roles, strict=True))]


def _cells(row: TopicRow, interval: Jitter | None) -> tuple[str, ...]:
    return (
        cut(row.topic, 40),
        units.count(row.published),
        units.rate(row.rate_hz),
        *spread_cells(interval),
        units.age(row.age_s),
        units.count(row.gone),
    )


def silence(rows: list[TopicRow], *, named: bool) -> Exit:
    """The exit code of a measurement: all silent is no data; silent ones are a finding if they were asked for."""
    silent = [row.topic for row in rows if not row.published]
    if silent and len(silent) == len(rows):
        return Exit.UNREACHABLE
    return Exit.FINDING if silent and named else Exit.HEALTHY
