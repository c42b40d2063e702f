"""The summary of a run: what `cardan up --json` prints, worked out from a snapshot of its vitals and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cardan.runtime.cli.snapshot import MICRO, NodeShot, SeriesShot, Snapshot, Spread
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.vitals import RunState, SeriesKind

SCHEMA = 1
OK = "ok"
CAN_FRAMES = "cardan.runtime.messages:CanFrames"
ACTUATOR_COMMAND = "cardan.runtime.messages:ActuatorCommand"
BRIDGE_VERDICT = "cardan.runtime.messages:BridgeVerdict"
MS_PER_UNIT = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


class Jitter(msgspec.Struct, frozen=True, kw_only=True):
    """How a duration spreads, in milliseconds."""

    p50: float
    p99: float
    max: float


class LaneError(msgspec.Struct, frozen=True, kw_only=True):
    """How far the vehicle strayed from the lane centre, in metres."""

    p95: float
    max: float


class NodeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one node did."""

    starts: int
    steps: int
    overruns: int
    missed: int
    jitter_ms: Jitter | None
    """Of the beginning of its steps; None when it never stepped."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One run in one document; None where its manifest has no such thing."""

    schema_version: int = SCHEMA
    verdict: str
    """`ok`, or the first cause."""
    duration_s: float
    armed_after_s: float | None
    """From the start of `cardan up` to the first actuator frame."""
    nodes: dict[str, NodeSummary]
    photon_to_can_ms: Jitter | None
    """From the capture of a camera frame to the actuator frame that it led to."""
    published: int
    lost: int
    """Messages missing in the sequence of a topic, and those that a full queue dropped, summed over all readers."""
    safe_stops: int | None
    lane_error_m: LaneError | None
    recording: str | None
    synced: Mapping[str, Any] | None
    """What the outbox has stored."""
    frames_carried: int | None
    checksum_failures: int | None


def summarise(
    plan: Plan,
    shot: Snapshot,
    *,
    up_started_ns: int | None = None,
    first_sent_ns: int | None = None,
    trouble: str = "",
    recording: str | None = None,
    synced: Mapping[str, Any] | None = None,
) -> Summary:
    """The summary of the run that `shot` shows.

    up_started_ns: when `cardan up` began (the run itself is younger). first_sent_ns: when the first actuator frame was
    seen from outside, for bridges that do not measure it. trouble: what went wrong with the supervisor itself.
    """
    return Summary(
        verdict=verdict_of(shot, trouble),
        duration_s=round(duration_s(shot), 3),
        armed_after_s=_armed_after_s(plan, shot, up_started_ns, first_sent_ns),
        nodes={node.plan.name: _node(node) for node in shot.nodes},
        photon_to_can_ms=photon_to_can(plan, shot),
        published=sum(series.count for _, series in shot.outputs()),
        lost=lost(shot),
        safe_stops=metric_sum(shot, "safe_stops"),
        lane_error_m=_lane_error(shot),
        recording=recording,
        synced=synced,
        frames_carried=metric_sum(shot, "frames_carried"),
        checksum_failures=metric_sum(shot, "checksum_failures"),
    )


def first_cause(shot: Snapshot) -> tuple[int, str, str] | None:
    """Time, code and text of the earliest fault of a node or of the run; None while there is none."""
    causes = [
        (node.fault[0], node.fault[1], f"{node.plan.name}: {node.fault[2] or 'fault'} ({node.fault[1]})")
        for node in shot.nodes
        if node.fault
    ]
    if shot.cause_ns:
        causes.append((shot.cause_ns, shot.cause_code, shot.cause))
    return min(causes, default=None)


def verdict_of(shot: Snapshot, trouble: str = "") -> str:
    """`ok`, or the first cause: the earliest fault of a node or of the run."""
    cause = first_cause(shot)
    if cause is not None:
        return cause[2]
    if trouble:
        return trouble
    return "the run failed, and no cause was recorded" if shot.state == RunState.FAILED else OK


def duration_s(shot: Snapshot) -> float:
    """How long the run has lasted: until the last beat of its supervisor once that has ended."""
    end_ns = shot.heartbeat_ns if shot.ended and shot.heartbeat_ns else shot.taken_ns
    return max(0, end_ns - shot.started_ns) / 1e9


def lost(shot: Snapshot) -> int:
    """Messages that should have reached a reader and did not."""
    return sum(series.lost + series.dropped for node in shot.nodes for series in node.of_kind(SeriesKind.INPUT))


def metric_sum(shot: Snapshot, name: str) -> int | None:
    """The sum of a metric over all nodes that have it; None when none has."""
    found = shot.metric(name)
    return round(sum(series.sum for series in found) * MICRO) if found else None


def actuator_topics(plan: Plan) -> list[str]:
    """Topics that tell what went to the actuators: CAN frames sent by a node that reads actuator commands."""
    types = {topic: output.type for topic, output in plan.topics().items()}
    return [
        output.topic
        for node in plan.nodes
        if _reads(node, ACTUATOR_COMMAND, types)
        for output in node.outputs
        if output.type == CAN_FRAMES
    ]


def verdict_topic(plan: Plan) -> str:
    """The topic of the bridge's verdicts; empty when this vehicle has no bridge."""
    return next((topic for topic, output in plan.topics().items() if output.type == BRIDGE_VERDICT), "")


def actuator_series(plan: Plan, shot: Snapshot) -> SeriesShot | None:
    """The vitals of the first such topic."""
    wanted = actuator_topics(plan)
    return next((series for _, series in shot.outputs() if series.plan.topic in wanted), None)


def photon_to_can(plan: Plan, shot: Snapshot) -> Jitter | None:
    """Camera to bus: as the bridge measured it, else from the origins of the frames it sent."""
    for series in shot.metric("photon_to_can"):
        return spread_ms(series.spread, MICRO * MS_PER_UNIT.get(series.plan.unit, 1.0))
    sent = actuator_series(plan, shot)
    return spread_ms(sent.spread, MS_PER_UNIT["ns"]) if sent else None


def spread_ms(spread: Spread, factor: float) -> Jitter | None:
    """A histogram in milliseconds (`factor` milliseconds for each count); None when nothing was measured."""
    if not any(spread.counts):
        return None
    p50, p99 = (round(value * factor, 4) for value in spread.at_each(0.5, 0.99))
    return Jitter(p50=p50, p99=p99, max=round(spread.maximum * factor, 4))


def _reads(node: NodePlan, type_name: str, types: Mapping[str, str]) -> bool:
    return any(types.get(topic) == type_name for port in node.inputs if not port.many for topic in port.topics)


def _node(node: NodeShot) -> NodeSummary:
    return NodeSummary(
        starts=node.starts,
        steps=node.steps,
        overruns=node.overruns,
        missed=node.missed,
        jitter_ms=spread_ms(node.lateness, MS_PER_UNIT["ns"]),
    )


def _lane_error(shot: Snapshot) -> LaneError | None:
    for series in shot.metric("lane_error"):
        if series.count:
            return LaneError(p95=round(series.spread.at(0.95) * MICRO, 4), max=round(series.spread.maximum * MICRO, 4))
    return None


def _armed_after_s(plan: Plan, shot: Snapshot, up_started_ns: int | None, first_sent_ns: int | None) -> float | None:
    begin_ns = shot.started_ns if up_started_ns is None else up_started_ns
    for series in shot.metric("armed_after"):
        if series.count:
            measured_ns = series.spread.at(0.0) if series.count > 1 else float(series.sum)
            armed_ns = measured_ns * MICRO * MS_PER_UNIT.get(series.plan.unit, 1e3) * 1e6
            return round((shot.started_ns + armed_ns - begin_ns) / 1e9, 3)
    return None if first_sent_ns is None else round((first_sent_ns - begin_ns) / 1e9, 3)
