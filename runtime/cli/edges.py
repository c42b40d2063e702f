"""Edges: one for each topic that an input reads, with what became of its messages, from the plan and two snapshots."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.snapshot import SeriesShot, Snapshot
from cardan.runtime.cli.summary import MS_PER_UNIT, Jitter, spread_ms
from cardan.runtime.plan import InputPlan, Plan
from cardan.runtime.vitals import SeriesKind


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """What one input did with the messages of one topic."""

    topic: str
    reader: str
    """Name of the node."""
    port: str
    """Its input."""
    queue: int
    """0 keeps the newest message only."""
    max_age_s: float | None
    delivered: int
    """Messages that reached the input."""
    lost: int
    """Missing in the sequence of those."""
    dropped: int
    """Thrown away at the input: its queue was full, or the frame was overwritten before it was taken."""
    overtaken: int
    """Replaced by a newer one before a step looked: how an input that keeps the newest message works."""
    late: int
    """Older than `max_age_s` when they arrived."""
    torn: int
    """Not whole when they were read; thrown away."""
    restarts: int
    """How often the publisher was replaced by a new one."""
    one_way_ms: Jitter | None
    """From sending to arrival."""

    @property
    def gone(self) -> int:
        """Messages that should have come and did not."""
        return self.lost + self.dropped + self.torn

    @property
    def name(self) -> str:
        return f"{self.topic} to {self.reader}.{self.port}"


def edges_of(plan: Plan, now: Snapshot, before: Snapshot) -> list[Edge]:
    """Every edge, by topic in plan order; counters and histograms are the difference of the two snapshots."""
    old = {_key(node.plan.name, series): series for node in before.nodes for series in node.of_kind(SeriesKind.INPUT)}
    ports = {(node.name, wired.port): wired for node in plan.nodes for wired in node.inputs}
    edges = [
        _edge(node.plan.name, ports[node.plan.name, series.plan.name], series, old[_key(node.plan.name, series)])
        for node in now.nodes
        for series in node.of_kind(SeriesKind.INPUT)
    ]
    order = {topic: place for place, topic in enumerate(plan.topics())}
    return sorted(edges, key=lambda edge: order.get(edge.topic, len(order)))


def _key(node: str, series: SeriesShot) -> tuple[str, str, str]:
    return node, series.plan.name, series.plan.topic


def _edge(reader: str, wired: InputPlan, now: SeriesShot, before: SeriesShot) -> Edge:
    return Edge(
        topic=now.plan.topic,
        reader=reader,
        port=wired.port,
        queue=wired.queue,
        max_age_s=wired.max_age_s,
        delivered=now.count - before.count,
        lost=now.lost - before.lost,
        dropped=now.dropped - before.dropped,
        overtaken=now.overtaken - before.overtaken,
        late=now.late - before.late,
        torn=now.torn - before.torn,
        restarts=now.restarts - before.restarts,
        one_way_ms=spread_ms(now.spread.since(before.spread), MS_PER_UNIT["ns"]),
    )


def losses(edge: Edge) -> list[str]:
    """Where and why messages of an edge went missing, for a person; empty when none did."""
    said = [
        (edge.lost, "never arrived: missing in the sequence"),
        (edge.dropped, f"dropped at {edge.reader}.{edge.port}: {_why_dropped(edge)}"),
        (edge.torn, "not whole when they were read: damaged memory, or a reader that is much too slow"),
    ]
    return [f"{units.count(number)} {why}" for number, why in said if number]


def _why_dropped(edge: Edge) -> str:
    full = f"its queue of {units.count(edge.queue)} was full" if edge.queue else "it keeps the newest only"
    return f"{full}, or the frame was overwritten first"


def verdict_on(edges: list[Edge]) -> str:
    """The edge that lost most, and how many others did; empty when every message that was sent arrived."""
    bad = sorted((edge for edge in edges if edge.gone), key=lambda edge: -edge.gone)
    if not bad:
        return ""
    others = f" (and {units.plural(len(bad) - 1, 'other edge')})" if len(bad) > 1 else ""
    total = sum(edge.gone for edge in bad)
    return f"{units.plural(total, 'message')} lost, most from {bad[0].name}: {losses(bad[0])[0]}{others}"
