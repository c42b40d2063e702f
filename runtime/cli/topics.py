"""What is known of each topic from the plan and the vitals, shared by the `cardan topic` commands."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli.exits import UsageError
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.cli.view import per_second, since_s
from cardan.runtime.errors import near_names
from cardan.runtime.plan import Plan


class TopicRow(msgspec.Struct, frozen=True, kw_only=True):
    """One topic."""

    topic: str
    type: str
    """`module:Class`."""
    readers: list[str]
    published: int
    rate_hz: float | None
    """Mean over the time that is looked at."""
    bytes_per_s: float | None
    age_s: float | None
    lost: int
    """Missing in the sequence, summed over all readers."""
    dropped: int
    """Dropped from full queues."""


def topic_rows(plan: Plan, now: Snapshot, before: Snapshot) -> list[TopicRow]:
    """Every topic in plan order; counters are the difference of the two snapshots."""
    old = {series.plan.topic: series for _, series in before.outputs()}
    span_ns = now.taken_ns - before.taken_ns
    types = plan.topics()
    rows = []
    for _, series in now.outputs():
        topic, earlier = series.plan.topic, old[series.plan.topic]
        readers, readers_before = now.readers(topic), before.readers(topic)
        rows.append(
            TopicRow(
                topic=topic,
                type=types[topic].type,
                readers=readers_of(plan, topic),
                published=series.count - earlier.count,
                rate_hz=_rounded(per_second(series.count, earlier.count, span_ns)),
                bytes_per_s=_rounded(per_second(series.bytes, earlier.bytes, span_ns)),
                age_s=since_s(now.taken_ns, series.last_ns),
                lost=sum(r.lost for r in readers) - sum(r.lost for r in readers_before),
                dropped=sum(r.dropped for r in readers) - sum(r.dropped for r in readers_before),
            )
        )
    return rows


def readers_of(plan: Plan, topic: str) -> list[str]:
    """Names of the nodes that read `topic`."""
    return [node.name for node in plan.nodes if any(topic in port.topics for port in node.inputs)]


def require_topics(plan: Plan, wanted: list[str]) -> None:
    """UsageError for the first topic that the plan does not have."""
    known = list(plan.topics())
    for topic in wanted:
        if topic not in known:
            raise UsageError(f'no topic "{topic}" in this run', hint=near_names(topic, known))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
