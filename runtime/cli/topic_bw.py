"""`cardan topic bw`: how many bytes each topic carries, measured between two looks at the vitals."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.foreign import slot_bytes
from cardan.runtime.cli.lines import Line, cut, table, write_lines
from cardan.runtime.cli.measure import limits_of, measure
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.tap import newest_or_none
from cardan.runtime.cli.topic_hz import silence
from cardan.runtime.cli.topics import TopicRow, chosen, require_topics, topic_rows
from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.errors import BusError

HEAD = ("topic", "messages", "each", "sent", "in slots each", "in slots", "readers")


class Bandwidth(msgspec.Struct, frozen=True, kw_only=True):
    """What one topic carries."""

    topic: str
    messages: int
    mean_bytes: float | None
    """Envelope and message, as they are sent; None when there was none."""
    bytes_per_s: float
    slot_bytes: int | None
    """Arrays in shared memory behind the newest message: written once, never sent. None when it cannot be read."""
    slot_bytes_per_s: float | None
    readers: int


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; 3 when nothing was published, 1 when a topic that was asked for is silent."""
    limits = limits_of(arguments)
    clock = MonotonicClock()
    found = find_run(None, must_live=True)
    require_topics(found.plan, arguments.topics)
    looks = measure(found, clock, arguments.topics, limits)
    rows = chosen(topic_rows(found.plan, looks.now, looks.before), arguments.topics)
    widths = [_bandwidth(found, clock, row) for row in rows]
    if arguments.json:
        document = {"schema_version": 1, "duration_s": round(looks.span_s, 3), "topics": widths}
        print(msgspec.json.encode(document).decode())
    else:
        write_lines([total_line(widths), *bw_lines(widths)], sys.stdout)
    return int(silence(rows, named=bool(arguments.topics)))


def _bandwidth(found: FoundRun, clock: Clock, row: TopicRow) -> Bandwidth:
    try:
        newest = newest_or_none(found, row.topic, clock)
    except BusError:
        newest = None
    behind = slot_bytes(newest.payload) if newest else None
    return Bandwidth(
        topic=row.topic,
        messages=row.published,
        mean_bytes=round(row.bytes / row.published, 1) if row.published else None,
        bytes_per_s=row.bytes_per_s or 0.0,
        slot_bytes=behind,
        slot_bytes_per_s=None if behind is None else round(behind * (row.rate_hz or 0.0), 3),
        readers=len(row.edges),
    )


def total_line(widths: list[Bandwidth]) -> Line:
    """All topics together."""
    sent = units.size(sum(width.bytes_per_s for width in widths))
    slots = units.size(sum(width.slot_bytes_per_s or 0.0 for width in widths))
    return Line(f"{sent}/s sent, {slots}/s filled into shared memory, on {units.plural(len(widths), 'topic')}", "title")


def bw_lines(widths: list[Bandwidth]) -> list[Line]:
    """A table, the widest topic first."""
    ordered = sorted(widths, key=lambda width: -(width.bytes_per_s + (width.slot_bytes_per_s or 0.0)))
    head, *texts = table(HEAD, [_cells(width) for width in ordered], "<>>>>>>")
    return [Line(head, "title"), *(Line(text) for text in texts)]


def _cells(width: Bandwidth) -> tuple[str, ...]:
    return (
        cut(width.topic, 40),
        units.count(width.messages),
        units.size(width.mean_bytes),
        f"{units.size(width.bytes_per_s)}/s",
        units.size(width.slot_bytes) if width.slot_bytes else units.NOTHING,
        f"{units.size(width.slot_bytes_per_s)}/s" if width.slot_bytes_per_s else units.NOTHING,
        units.count(width.readers),
    )
