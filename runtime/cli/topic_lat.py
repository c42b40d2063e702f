"""`cardan topic lat`: how long messages take to each reader, and how old the picture behind them is by then."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.edges import Edge
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.measure import Looks, limits_of, measure
from cardan.runtime.cli.runs import find_run
from cardan.runtime.cli.spread import spread_cells
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.summary import OK
from cardan.runtime.cli.topics import TopicRow, chosen, require_topics, topic_rows
from cardan.runtime.clock import MonotonicClock

HEAD = ("topic", "reader", "messages", "one way p50", "p99", "max", "origin p50", "p99", "max", "late")


def run(arguments: argparse.Namespace) -> int:
    """Print the latencies; 1 when messages came later than their reader allows, 3 when nothing was read."""
    clock = MonotonicClock()
    window = bool(arguments.duration or arguments.count)
    limits = limits_of(arguments)
    found = find_run(arguments.data_dir, must_live=window)
    require_topics(found.plan, arguments.topics)
    if window:
        looks = measure(found, clock, arguments.topics, limits)
    else:
        shot = found.snapshot(clock)
        looks = Looks(at_start(shot), shot)
    rows = chosen(topic_rows(found.plan, looks.now, looks.before), arguments.topics)
    edges = [edge for row in rows for edge in row.edges]
    if not any(edge.delivered for edge in edges):
        raise NoDataError("no message reached a reader in this time", hint="`cardan status` shows what runs")
    late = late_verdict(edges)
    if arguments.json:
        document = {"schema_version": 1, "verdict": late or OK, "duration_s": round(looks.span_s, 3), "topics": rows}
        print(msgspec.json.encode(document).decode())
    else:
        write_lines([_verdict_line(late), *lat_lines(rows)], sys.stdout)
    return int(Exit.FINDING if late else Exit.HEALTHY)


def late_verdict(edges: list[Edge]) -> str:
    """The edge with most late messages; empty when none was late."""
    late = sorted((edge for edge in edges if edge.late), key=lambda edge: -edge.late)
    if not late:
        return ""
    worst = late[0]
    others = f" (and {units.plural(len(late) - 1, 'other edge')})" if len(late) > 1 else ""
    return f"{worst.late} of {worst.delivered} messages were older than {worst.max_age_s:g} s at {worst.name}{others}"


def _verdict_line(late: str) -> Line:
    if late:
        return Line(f"not ok: {late}", "bad")
    return Line(f"{OK}: no message was older on arrival than its reader allows", "good")


def lat_lines(rows: list[TopicRow]) -> list[Line]:
    """A line for each edge; those with late messages stand out."""
    edges = [(row, edge) for row in rows for edge in row.edges]
    head, *texts = table(HEAD, [_cells(row, edge) for row, edge in edges], "<<>>>>>>>>")
    roles = ["warning" if edge.late else "plain" for _, edge in edges]
    return [Line(head, "title"), *(Line(text, role) for text, role in zip(texts, roles, strict=True))]


def _cells(row: TopicRow, edge: Edge) -> tuple[str, ...]:
    return (
        cut(row.topic, 40),
        cut(edge.reader, 24),
        units.count(edge.delivered),
        *spread_cells(edge.one_way_ms),
        *spread_cells(row.origin_age_ms),
        units.count(edge.late),
    )
