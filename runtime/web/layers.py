"""Where the nodes of a graph stand: in layers, so that data flows from one to the next as far as its loops allow."""

from __future__ import annotations

from cardan.runtime.plan import NodePlan, Plan


def arrows_of(plan: Plan) -> list[tuple[str, str, str]]:
    """(publisher, reader, topic) of every wired input; those that take everything (`*`, recorders) are left out."""
    publishers = {output.topic: node.name for node in plan.nodes for output in node.outputs}
    return [
        (publishers[topic], node.name, topic)
        for node in plan.nodes
        for item in node.inputs
        if not item.many
        for topic in item.topics
        if topic in publishers
    ]


def listeners(plan: Plan) -> list[NodePlan]:
    """Nodes that nobody reads and that take many topics at once: recorder, outbox."""
    return [node for node in plan.nodes if not node.outputs and any(item.many for item in node.inputs)]


def layers_of(plan: Plan) -> dict[str, int]:
    """Layer of each node, from 0; a node stands behind all that it reads, arrows that close a loop not counted.

    The nodes of a plan are in start order, in which only the arrows that close a loop lead back.
    """
    layers: dict[str, int] = {}
    behind: dict[str, int] = {}
    arrows: dict[str, list[str]] = {}
    for publisher, reader, _ in arrows_of(plan):
        arrows.setdefault(publisher, []).append(reader)
    for node in plan.nodes:
        layers[node.name] = behind.get(node.name, 0)
        for reader in arrows.get(node.name, []):
            behind[reader] = max(behind.get(reader, 0), layers[node.name] + 1)
    last = max((layers[node.name] for node in plan.nodes if node.outputs), default=-1) + 1
    return layers | {node.name: last for node in listeners(plan)}
