"""What `live` and `downlink` need to know of the plan they run in."""

from __future__ import annotations

from cardan.runtime.plan import Plan

OUTBOX = "cardan.runtime.outbox.node:Outbox"
DOWNLINK = "cardan.runtime.downlink.node:Downlink"


def vehicle_id_or_none(plan: Plan) -> str | None:
    """The name that the outbox gives the vehicle; None when the plan has no outbox."""
    for node in plan.nodes:
        if node.use == OUTBOX:
            return str(node.config.get("vehicle_id", "bench"))
    return None


def has_downlink(plan: Plan) -> bool:
    """True when somebody here judges what is asked from outside."""
    return any(node.use == DOWNLINK for node in plan.nodes)
