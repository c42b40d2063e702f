"""The source of a run's topics: its rings, or its sockets where the nodes speak ZeroMQ among themselves."""

from __future__ import annotations

import zmq

from cardan.runtime.link.source import RingSource, TopicSource, ZmqSource
from cardan.runtime.plan import Plan
from cardan.runtime.run import RunPaths


def open_source(context: zmq.Context[zmq.Socket[bytes]], plan: Plan, paths: RunPaths) -> TopicSource:
    """Read the topics of this run from outside."""
    if plan.bus == "zmq":
        return ZmqSource(context, paths.bus)
    latched = {name for name, output in plan.topics().items() if output.latched}
    return RingSource(paths.bus, latched)
