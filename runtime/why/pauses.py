"""Pauses: when a node did not step although it should have, as its step log in the vitals has it."""

from __future__ import annotations

from itertools import pairwise

from cardan.runtime.clock import ns
from cardan.runtime.plan import NodePlan
from cardan.runtime.step_log import Step
from cardan.runtime.why.evidence import Evidence

PERIODS = 2.5
"""A step that begins so many periods after the one before it is late."""
BEFORE_NS, AFTER_NS = ns(2.0), ns(0.2)
MOST = 3


def pauses(evidence: Evidence, names: list[str], moment_ns: int) -> list[str]:
    """The longest pause of each of these nodes just before a moment (wall time), for a person; as far as it is kept."""
    return [text for name in names if (text := _pause_text(evidence, name, moment_ns))][:MOST]


def _pause_text(evidence: Evidence, name: str, moment_ns: int) -> str:
    node = evidence.plan.node(name)
    vitals = evidence.found.vitals.nodes.get(name)
    if vitals is None or not node.rate_hz or node.stepped_by:
        return ""
    steps = [
        step
        for step in vitals.log.steps()
        if moment_ns - BEFORE_NS <= evidence.wall_of(step.start_ns) <= moment_ns + AFTER_NS
    ]
    return _longest(node, steps)


def _longest(node: NodePlan, steps: list[Step]) -> str:
    period_ns = 1e9 / (node.rate_hz or 1.0)
    gaps = [(after.start_ns - before.start_ns, before) for before, after in pairwise(steps)]
    gap_ns, before = max(gaps, default=(0, None))
    if before is None or gap_ns < PERIODS * period_ns:
        return ""
    took_ms = (before.end_ns - before.start_ns) / 1e6
    return f"{node.name} did not begin a step for {gap_ns / 1e6:.0f} ms (its step before took {took_ms:.1f} ms)"
