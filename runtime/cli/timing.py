"""How a node's steps went: how long they took, and how old their inputs were."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli.snapshot import NodeShot
from cardan.runtime.cli.summary import MS_PER_UNIT, Jitter, spread_ms
from cardan.runtime.vitals import SeriesKind


class InputTiming(msgspec.Struct, frozen=True, kw_only=True):
    """One topic that a node reads."""

    worst_age_ms: float | None
    """Of its newest message when a step began; None where a node reads many topics through one input."""
    publisher_restarts: int


class NodeTiming(msgspec.Struct, frozen=True, kw_only=True):
    """One node."""

    step_ms: Jitter | None
    """How long a step took; None when it never stepped."""
    inputs: dict[str, InputTiming]
    """By topic."""


def node_timing(node: NodeShot) -> NodeTiming:
    """What the vitals say about the steps of one node."""
    return NodeTiming(
        step_ms=spread_ms(node.step_time, MS_PER_UNIT["ns"]),
        inputs={
            series.plan.topic: InputTiming(
                worst_age_ms=round(series.worst_age_ns / 1e6, 3) if series.worst_age_ns else None,
                publisher_restarts=series.restarts,
            )
            for series in node.of_kind(SeriesKind.INPUT)
        },
    )
