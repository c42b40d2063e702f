"""The way of a frame through the graph: from the topic of a sensor over the nodes that read it to the actuators."""

from __future__ import annotations

from collections import deque

from cardan.runtime.cli.summary import actuator_topics
from cardan.runtime.plan import NodePlan, Plan

CAMERA_FRAME = "cardan.runtime.messages:CameraFrame"


def paths_of(plan: Plan) -> list[list[str]]:
    """The shortest way from each source to each topic that goes to the actuators, as topics.

    Sources are the camera topics; in a vehicle without a camera, the topics of nodes that read nothing.
    """
    ends = actuator_topics(plan)
    found = [path for source in _cameras(plan) for end in ends if (path := _shortest(plan, source, end))]
    if found:
        return found
    return [path for source in _sensors(plan) for end in ends if (path := _shortest(plan, source, end))]


def _cameras(plan: Plan) -> list[str]:
    return [topic for topic, output in plan.topics().items() if output.type == CAMERA_FRAME]


def _sensors(plan: Plan) -> list[str]:
    return [output.topic for node in plan.nodes if not reads_of(node) for output in node.outputs]


def reads_of(node: NodePlan) -> list[str]:
    """Topics on whose values a node decides; a recorder or an outbox, which take everything, decide on none."""
    return [topic for port in node.inputs if not port.many for topic in port.topics]


def _shortest(plan: Plan, source: str, end: str) -> list[str]:
    ways = deque([[source]])
    seen = {source}
    while ways:
        way = ways.popleft()
        if way[-1] == end:
            return way
        for topic in _next(plan, way[-1]):
            if topic not in seen:
                seen.add(topic)
                ways.append([*way, topic])
    return []


def _next(plan: Plan, topic: str) -> list[str]:
    return [output.topic for node in plan.nodes if topic in reads_of(node) for output in node.outputs]


def publisher_of(topic: str) -> str:
    """The node of `node/output`."""
    return topic.partition("/")[0]
