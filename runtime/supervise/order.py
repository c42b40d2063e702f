"""The order in which nodes stop.

1. Every node but those below, all at once: nobody is left to notice that its inputs went stale, so an orderly stop
   looks like no fault, and it takes as long as the slowest node instead of the sum.
2. The nodes that take actuator commands (the bridge), as soon as the first ones have left their loops, and in any
   case within 20 ms: the last command is then younger than the three control periods after which a bridge falls back
   to its safe value, and nothing commands a bridge that has closed.
3. The nodes that read many topics (recorder, outbox), when all others have ended: they take every last message.
4. The nodes that take away what those leave on the disk (uplink), when they have ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cardan.runtime.clock import ns
from cardan.runtime.plan import NodePlan, Plan

COMMAND_TYPE = "ActuatorCommand"
BRIDGE_PATIENCE_NS = ns(0.02)


@dataclass(frozen=True, kw_only=True)
class Wave:
    """Nodes that are asked to stop together, in plan order."""

    nodes: list[str]
    after_exit: bool
    """Wait for the processes before it to end; else only for their last step."""
    patience_ns: int | None
    """Wait no longer than this for those before it; None: their own stop time-outs are limit enough."""


def stop_waves(plan: Plan) -> list[Wave]:
    """Every node of the plan, in exactly one wave."""
    last = _names(plan, lambda node: node.stops_last)
    sinks = _names(plan, _is_sink)
    commands = {topic for topic, output in plan.topics().items() if output.type.endswith(f":{COMMAND_TYPE}")}
    bridges = _names(plan, lambda node: not (node.stops_last or _is_sink(node)) and _reads(node, commands))
    first = [node.name for node in plan.nodes if node.name not in {*sinks, *bridges, *last}]
    return [
        Wave(nodes=first, after_exit=False, patience_ns=None),
        Wave(nodes=bridges, after_exit=False, patience_ns=BRIDGE_PATIENCE_NS),
        Wave(nodes=sinks, after_exit=True, patience_ns=None),
        Wave(nodes=last, after_exit=True, patience_ns=None),
    ]


def _names(plan: Plan, wanted: Callable[[NodePlan], bool]) -> list[str]:
    return [node.name for node in plan.nodes if wanted(node)]


def _is_sink(node: NodePlan) -> bool:
    return not node.stops_last and any(item.many for item in node.inputs)


def _reads(node: NodePlan, topics: set[str]) -> bool:
    return any(topic in topics for item in node.inputs for topic in item.topics)
