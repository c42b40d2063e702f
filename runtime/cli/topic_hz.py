"""`cardan topic hz`: how often topics are published, measured between two looks at the vitals."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.cli.topics import TopicRow, require_topics, topic_rows
from cardan.runtime.clock import Clock, MonotonicClock, ns

USUAL_S = 3.0
LONGEST_COUNT_S = 60.0
"""How long `--count` waits for topics that stay silent, unless `--for` says otherwise."""
LOOK_EVERY_S = 0.02
HEAD = ("topic", "messages", "rate", "bytes/s", "age", "lost")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 3 when nothing was published, 1 when a topic that was asked for is silent."""
    count = parse_count(arguments.count, "--count") if arguments.count else 0
    usual_s = LONGEST_COUNT_S if count else USUAL_S
    longest_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else usual_s
    found = find_run(None, must_live=True)
    require_topics(found.plan, arguments.topics)
    rows, span_s = _measure(found, MonotonicClock(), arguments.topics, count, longest_s)
    if arguments.json:
        print(msgspec.json.encode({"schema": 1, "duration_s": round(span_s, 3), "topics": rows}).decode())
    else:
        write_lines(hz_lines(rows), sys.stdout)
    return int(_exit(rows, named=bool(arguments.topics)))


def _measure(
    found: FoundRun, clock: Clock, wanted: list[str], count: int, longest_s: float
) -> tuple[list[TopicRow], float]:
    before = now = found.snapshot(clock)
    deadline_ns = before.taken_ns + ns(longest_s)
    while now.taken_ns < deadline_ns and not now.ended:
        if count and all(row.published >= count for row in _chosen(found, now, before, wanted)):
            break
        step_s = LOOK_EVERY_S if count else min(longest_s, 0.2)
        clock.sleep_until_ns(min(deadline_ns, clock.now_ns() + ns(step_s)))
        now = found.snapshot(clock)
    return _chosen(found, now, before, wanted), (now.taken_ns - before.taken_ns) / 1e9


def _chosen(found: FoundRun, now: Snapshot, before: Snapshot, wanted: list[str]) -> list[TopicRow]:
    return [row for row in topic_rows(found.plan, now, before) if not wanted or row.topic in wanted]


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
        units.count(row.lost + row.dropped),
    )


def _exit(rows: list[TopicRow], *, named: bool) -> Exit:
    silent = [row.topic for row in rows if not row.published]
    if silent and len(silent) == len(rows):
        return Exit.UNREACHABLE
    return Exit.FINDING if silent and named else Exit.HEALTHY
