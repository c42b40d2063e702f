"""What the page shows of a run at one moment, as one JSON document, from two snapshots and what was heard."""

from __future__ import annotations

from typing import Any

import msgspec

from cardan.runtime.can_health import CanChannelHealth
from cardan.runtime.cli.control_causes import meaning
from cardan.runtime.cli.edges import Edge
from cardan.runtime.cli.lines import safe_text
from cardan.runtime.cli.runs import stamp
from cardan.runtime.cli.snapshot import NodeShot, Snapshot, Spread
from cardan.runtime.cli.summary import Jitter, first_cause, lost, photon_to_can
from cardan.runtime.cli.topics import TopicRow, topic_rows
from cardan.runtime.cli.view import headline, per_second, since_s, state_word
from cardan.runtime.faults import find_fault
from cardan.runtime.plan import Plan
from cardan.runtime.web.layers import arrows_of, layers_of, listeners
from cardan.runtime.web.timeline import Drove, Event, Timeline

SCHEMA = 1
CAMERA = "cardan.runtime.messages:CameraFrame"


class NodeCard(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the graph."""

    name: str
    state: str
    layer: int
    critical: bool
    listens: bool
    """It takes many topics and publishes none (recorder, outbox): its arrows are not drawn."""
    rate_hz: float | None
    age_s: float | None
    """Since its last step ended."""
    step_p99_ms: float | None
    jitter_p99_ms: float | None
    missed: int
    starts: int
    condition: str
    """Code of what is not as it should be at this moment."""
    fault: str


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """One topic on its way to one reader."""

    source: str
    target: str
    topic: str
    rate_hz: float | None
    one_way_ms: float | None
    """Median since the snapshot before; None while nothing came."""
    gone: int
    """Messages that should have arrived in this run and did not."""


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One CAN channel as its reader saw it last."""

    reader: str
    health: CanChannelHealth
    age_s: float


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a run."""

    schema_version: int = SCHEMA
    live: bool
    run: str
    vehicle: str
    profile: str
    verdict: str
    role: str
    """good, warning or bad."""
    help: list[str]
    """What the first cause means, what it likely comes from, what to try."""
    started: str
    """Wall time, ISO 8601."""
    ran_s: float
    watched_s: float | None
    """Since when (of the run) who drove is known; None while it is not."""
    engagement: str
    cause: str
    cause_means: str
    photon_to_can_ms: Jitter | None
    """Over the whole run."""
    lost: int
    nodes: list[NodeCard]
    arrows: list[Arrow]
    topics: list[TopicRow]
    can: list[Channel]
    cameras: list[str]
    drove: list[Drove]
    events: list[Event]
    """Newest first."""
    events_dropped: int
    viewers_dropped: int
    """Pages that were too slow to be shown everything, and had to ask again."""


def document(
    plan: Plan,
    now: Snapshot,
    before: Snapshot,
    timeline: Timeline,
    *,
    run: str,
    live: bool,
    trouble: str = "",
    can: list[Channel] | None = None,
    viewers_dropped: int = 0,
) -> Document:
    """Everything of one moment. before: the same run about a second earlier, or at its start."""
    verdict, role = headline(now)
    if trouble and role == "good":
        verdict, role = trouble, "bad"
    rows = topic_rows(plan, now, before)
    edges = [edge for row in rows for edge in row.edges]
    drove = timeline.drove
    return Document(
        live=live,
        run=run,
        vehicle=plan.name,
        profile=plan.profile.name,
        verdict=safe_text(verdict),
        role=role,
        help=_help(now),
        started=stamp(now.started_wall_ns).isoformat(timespec="seconds"),
        ran_s=round((now.taken_ns - now.started_ns) / 1e9, 3),
        watched_s=drove[0].at_s if drove else None,
        engagement=timeline.engagement,
        cause=timeline.cause,
        cause_means=" - ".join(part for part in meaning(timeline.cause) if part),
        photon_to_can_ms=photon_to_can(plan, now),
        lost=lost(now),
        nodes=_cards(plan, now, before),
        arrows=_arrows(plan, edges, rows),
        topics=rows,
        can=can or [],
        cameras=[topic for topic, output in plan.topics().items() if output.type == CAMERA],
        drove=drove,
        events=timeline.events(now),
        events_dropped=timeline.dropped,
        viewers_dropped=viewers_dropped,
    )


def nothing(verdict: str, hint: str) -> dict[str, Any]:
    """What is shown while there is no run: the verdict, and what to do."""
    return {"schema_version": SCHEMA, "live": False, "run": "", "verdict": verdict, "role": "warning", "help": [hint]}


def _help(shot: Snapshot) -> list[str]:
    cause = first_cause(shot)
    fault = find_fault(cause[1]) if cause is not None else None
    return [] if fault is None else [fault.meaning, f"likely: {fault.cause}", f"try: {fault.cure}"]


def _cards(plan: Plan, now: Snapshot, before: Snapshot) -> list[NodeCard]:
    layers, quiet = layers_of(plan), {node.name for node in listeners(plan)}
    return [
        _card(node, old, now, before, layers[node.plan.name], listens=node.plan.name in quiet)
        for node, old in zip(now.nodes, before.nodes, strict=True)
    ]


def _card(node: NodeShot, old: NodeShot, now: Snapshot, before: Snapshot, layer: int, *, listens: bool) -> NodeCard:
    lateness, steps = _recent(node.lateness, old.lateness), _recent(node.step_time, old.step_time)
    return NodeCard(
        name=node.plan.name,
        state=state_word(node.state),
        layer=layer,
        critical=node.plan.critical,
        listens=listens,
        rate_hz=_rounded(per_second(node.steps, old.steps, now.taken_ns - before.taken_ns)),
        age_s=_rounded(since_s(now.taken_ns, node.step_end_ns)),
        step_p99_ms=_rounded(steps.at(0.99) * 1e-6) if steps.total else None,
        jitter_p99_ms=_rounded(lateness.at(0.99) * 1e-6) if lateness.total else None,
        missed=node.missed,
        starts=node.starts,
        condition=node.condition[1] if node.condition else "",
        fault=safe_text(node.fault[2] or node.fault[1]) if node.fault else "",
    )


def _recent(now: Spread, before: Spread) -> Spread:
    """What came since the snapshot before; of the whole run where that is nothing."""
    new = now.since(before)
    return new if new.total else now


def _arrows(plan: Plan, edges: list[Edge], rows: list[TopicRow]) -> list[Arrow]:
    rates = {row.topic: row.rate_hz for row in rows}
    ways = {(edge.topic, edge.reader): edge for edge in edges}
    return [
        Arrow(
            source=source,
            target=target,
            topic=topic,
            rate_hz=rates[topic],
            one_way_ms=_one_way_ms(ways.get((topic, target))),
            gone=ways[topic, target].gone if (topic, target) in ways else 0,
        )
        for source, target, topic in arrows_of(plan)
    ]


def _one_way_ms(edge: Edge | None) -> float | None:
    return edge.one_way_ms.p50 if edge is not None and edge.one_way_ms is not None else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def channel_topics(plan: Plan) -> list[str]:
    """Topics that tell the health of CAN channels."""
    return [name for name, output in plan.topics().items() if output.type.endswith(":CanHealth")]
