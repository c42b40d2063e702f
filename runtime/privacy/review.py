"""Zones and the grid are only as good as the positions that a node gets: checked before anything starts."""

from __future__ import annotations

from cardan.runtime.findings import Objection
from cardan.runtime.plan import NodePlan, Plan


def review_positions(plan: Plan, node: NodePlan, port: str) -> list[Objection]:
    """A node that keeps or sends topics under zones must also read the topics with the position."""
    wired = {topic for item in node.inputs if item.port == port for topic in item.topics}
    if not plan.privacy.zones or not wired:
        return []
    return [
        Objection(
            ("nodes", node.name, "inputs", port),
            f'zones need the position in "{fields.topic}", and this input does not read it',
            f'add "{fields.topic}"',
        )
        for fields in plan.privacy.positions
        if fields.topic not in wired
    ]


def explain_consent(plan: Plan, node: NodePlan) -> list[str]:
    """What a node that keeps records will keep, before anybody has said anything."""
    purposes = ", ".join(plan.privacy.consent)
    if not purposes:
        return [f"{node.name}: no consent in [privacy]: it keeps nothing until `cardan sync consent give PURPOSE`"]
    return [f"{node.name}: keeps what is for {purposes}, unless `cardan sync consent` says otherwise"]
