"""`cardan topic info`: everything that is known of one topic."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.edges import Edge, losses, verdict_on
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.cli.snapshot import NodeShot, Snapshot
from cardan.runtime.cli.spread import spread_text
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.summary import OK
from cardan.runtime.cli.tap import ALL, Heard, last_messages
from cardan.runtime.cli.topic_types import Shape, shape_of
from cardan.runtime.cli.topics import TopicRow, require_topics, topic_rows
from cardan.runtime.cli.view import state_word
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import CardanError
from cardan.runtime.vitals import NodeState

RUNS = tuple(state_word(state) for state in (NodeState.READY, NodeState.RUNNING, NodeState.FINISHED))


class TopicInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One topic, its publisher, and its message type."""

    row: TopicRow
    publisher_state: str
    publisher_pid: int
    publisher_starts: int
    publisher_rate_hz: float | None
    """At which the manifest steps it; None when something else does."""
    shape: Shape
    schema_id: str
    """Of the newest message, as 8 hex digits; empty when none can be read."""
    transport: str
    """`ring` (shared memory; how many messages it holds), or `zmq`."""
    kept: int
    """Messages that the ring holds now."""


def run(arguments: argparse.Namespace) -> int:
    """Print it; 1 when messages were lost, the publisher is away, or reader and publisher mean different types."""
    found = find_run(arguments.data_dir)
    require_topics(found.plan, arguments.topics)
    shot = found.snapshot(MonotonicClock())
    info = _info(found, shot, arguments.topics[0])
    finding = finding_of(info, live=found.live)
    if arguments.json:
        document = {"schema_version": 1, "verdict": finding or OK, "live": found.live, "run": found.run_id}
        print(msgspec.json.encode({**document, "topic": info}).decode())
    else:
        if not found.live:
            print("no run is active; this is a topic of the last one", file=sys.stderr)
        first = Line(f"not ok: {finding}", "bad") if finding else Line(OK, "good")
        write_lines([first, *info_lines(info)], sys.stdout)
    return int(Exit.FINDING if finding else Exit.HEALTHY)


def _info(found: FoundRun, shot: Snapshot, topic: str) -> TopicInfo:
    row = next(row for row in topic_rows(found.plan, shot, at_start(shot)) if row.topic == topic)
    node = next(node for node in shot.nodes if node.plan.name == row.publisher)
    newest, kept, transport = _heard(found, topic)
    return TopicInfo(
        row=row,
        publisher_state=state_word(node.state),
        publisher_pid=node.pid,
        publisher_starts=node.starts,
        publisher_rate_hz=_stepped_at_hz(node),
        shape=shape_of(row.type, node.plan.sys_path),
        schema_id=f"{newest.header.schema:08x}" if newest else "",
        transport=transport,
        kept=kept,
    )


def _heard(found: FoundRun, topic: str) -> tuple[Heard | None, int, str]:
    """The newest message, how many are kept, and how they travel; nothing of a topic that cannot be listened to."""
    try:
        kept = last_messages(found, topic, ALL, MonotonicClock())
    except CardanError:
        return None, 0, ""
    return (kept[-1] if kept else None), len(kept), found.plan.bus


def _stepped_at_hz(node: NodeShot) -> float | None:
    return None if node.plan.stepped_by else node.plan.rate_hz


def finding_of(info: TopicInfo, *, live: bool) -> str:
    """What is wrong with a topic; empty when nothing is."""
    known, sent = info.shape.schema_id, info.schema_id
    if known and sent and known != sent:
        return f"messages of schema {sent} are sent, and {info.row.type} is {known} here: do all run the same code?"
    if live and info.publisher_state not in RUNS:
        return f"its publisher {info.row.publisher} is {info.publisher_state}"
    return verdict_on(info.row.edges)


def info_lines(info: TopicInfo) -> list[Line]:
    """One screen."""
    row = info.row
    return [
        Line(row.topic, "title"),
        *_paragraph("type", [_type_text(info), *_field_texts(info)]),
        *_paragraph("publisher", [_publisher_text(info)]),
        *_paragraph("published", [_published_text(row)]),
        *_paragraph("origin", [f"{spread_text(row.origin_age_ms)} old when sent"] if row.origin_age_ms else []),
        *_paragraph("transport", [_transport_text(info)]),
        *_paragraph("readers", [text for edge in row.edges for text in _edge_texts(edge)] or [units.NOTHING]),
    ]


def _paragraph(title: str, texts: list[str]) -> list[Line]:
    titles = [title, *[""] * len(texts)]
    return [Line(f"  {name:<11}{safe_text(text)}".rstrip()) for name, text in zip(titles, texts, strict=False)]


def _type_text(info: TopicInfo) -> str:
    module, _, name = info.row.type.partition(":")
    shown = info.shape.schema_id or info.schema_id
    return f"{name} of {module}, schema {shown or 'not known'}"


def _field_texts(info: TopicInfo) -> list[str]:
    if info.shape.problem:
        return [f"its fields are not known here: {info.shape.problem}"]
    width = max((len(field.name) for field in info.shape.fields), default=0)
    return [f"  {field.name:<{width}}  {field.type}" for field in info.shape.fields]


def _publisher_text(info: TopicInfo) -> str:
    rate = f", stepped at {info.publisher_rate_hz:g} Hz" if info.publisher_rate_hz else ""
    starts = f", started {info.publisher_starts} times" if info.publisher_starts > 1 else ""
    process = f", process {info.publisher_pid}" if info.publisher_pid else ""
    return f"{info.row.publisher}, {info.publisher_state}{process}{rate}{starts}"


def _published_text(row: TopicRow) -> str:
    mean = f", {units.size(row.bytes / row.published)} each" if row.published else ""
    rates = f"{units.rate(row.rate_hz)}, {units.size(row.bytes_per_s)}/s"
    return f"{units.count(row.published)} messages, {rates}{mean}, the last {units.age(row.age_s)} ago"


def _transport_text(info: TopicInfo) -> str:
    if info.transport == "ring":
        return f"ring in shared memory, which holds the last {units.plural(info.kept, 'message')}"
    return "ZeroMQ" if info.transport == "zmq" else "not known any more"


def _edge_texts(edge: Edge) -> list[str]:
    keeps = f"queue of {units.count(edge.queue)}" if edge.queue else "newest only"
    limit = f", at most {edge.max_age_s:g} s old" if edge.max_age_s is not None else ""
    counts = f"{units.count(edge.delivered)} delivered, {units.count(edge.overtaken)} overtaken, {edge.late} late"
    return [
        f"{edge.reader}.{edge.port}: {keeps}{limit}",
        f"  {counts}; one way {spread_text(edge.one_way_ms)}",
        *(f"  {text}" for text in losses(edge)),
        *([f"  its publisher was replaced {edge.restarts} times"] if edge.restarts else []),
    ]
