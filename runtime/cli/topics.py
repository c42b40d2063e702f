"""What is known of each topic from the plan and the vitals, shared by the `cardan topic` commands."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli.edges import Edge, edges_of
from cardan.runtime.cli.exits import UsageError
from cardan.runtime.cli.snapshot import NodeShot, Snapshot
from cardan.runtime.cli.summary import MS_PER_UNIT, Jitter, spread_ms
from cardan.runtime.cli.view import per_second, since_s
from cardan.runtime.errors import near_names
from cardan.runtime.plan import Plan


class TopicRow(msgspec.Struct, frozen=True, kw_only=True):
    """One topic; the losses are sums over its edges."""

    topic: str
    type: str
    """`module:Class`."""
    publisher: str
    readers: list[str]
    published: int
    rate_hz: float | None
    """Mean over the time that is looked at."""
    bytes: int
    """Envelopes and messages; arrays in shared memory are not sent and not counted."""
    bytes_per_s: float | None
    age_s: float | None
    origin_age_ms: Jitter | None
    """How old the origin (the capture of the camera frame) was when the message was sent."""
    lost: int
    """Missing in the sequence."""
    dropped: int
    """Dropped from full queues."""
    overtaken: int
    late: int
    torn: int
    edges: list[Edge]

    @property
    def gone(self) -> int:
        """Messages that should have reached a reader and did not."""
        return self.lost + self.dropped + self.torn


def topic_rows(plan: Plan, now: Snapshot, before: Snapshot) -> list[TopicRow]:
    """Every topic in plan order; counters are the difference of the two snapshots."""
    old = {series.plan.topic: series for _, series in before.outputs()}
    types, edges = plan.topics(), edges_of(plan, now, before)
    rows = []
    for node, series in now.outputs():
        topic, earlier = series.plan.topic, old[series.plan.topic]
        span_ns = now.taken_ns - _published_since_ns(node, before.taken_ns)
        read = [edge for edge in edges if edge.topic == topic]
        rows.append(
            TopicRow(
                topic=topic,
                type=types[topic].type,
                publisher=node.plan.name,
                readers=[edge.reader for edge in read],
                published=series.count - earlier.count,
                rate_hz=_rounded(per_second(series.count, earlier.count, span_ns)),
                bytes=series.bytes - earlier.bytes,
                bytes_per_s=_rounded(per_second(series.bytes, earlier.bytes, span_ns)),
                age_s=since_s(now.taken_ns, series.last_ns),
                origin_age_ms=spread_ms(series.spread.since(earlier.spread), MS_PER_UNIT["ns"]),
                lost=sum(edge.lost for edge in read),
                dropped=sum(edge.dropped for edge in read),
                overtaken=sum(edge.overtaken for edge in read),
                late=sum(edge.late for edge in read),
                torn=sum(edge.torn for edge in read),
                edges=read,
            )
        )
    return rows


def _published_since_ns(node: NodeShot, begin_ns: int) -> int:
    """When a node could begin to publish: a vehicle takes a second to start, and that is no part of a rate."""
    return max(begin_ns, node.ready_ns) if node.starts == 1 else begin_ns


def require_topics(plan: Plan, wanted: list[str]) -> None:
    """UsageError for the first topic that the plan does not have."""
    known = list(plan.topics())
    for topic in wanted:
        if topic not in known:
            raise UsageError(f'no topic "{topic}" in this run', hint=near_names(topic, known))


def chosen(rows: list[TopicRow], wanted: list[str]) -> list[TopicRow]:
    """The rows of the topics that were asked for; all when none was."""
    return [row for row in rows if not wanted or row.topic in wanted]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
