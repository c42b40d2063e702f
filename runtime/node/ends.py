"""The ends of one node on the bus of its run, over the transport that the plan names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from cardan.runtime.bus.ends import PublishingEnd, ReadingEnd
from cardan.runtime.bus.ring_ends import RingPublisher, RingSubscriber, Subscription, WakeFds
from cardan.runtime.plan import Plan
from cardan.runtime.run import RunPaths


@dataclass(frozen=True)
class NodeBus:
    """How to reach the bus: the run, this node, its start count, and the eventfds it was handed."""

    plan: Plan
    node: str
    paths: RunPaths
    epoch: int
    fds: WakeFds

    @contextmanager
    def publisher(self, outputs: dict[str, int]) -> Iterator[PublishingEnd]:
        """The publishing end. outputs: topic -> schema id. BusError when this node has a publisher already."""
        with ExitStack() as closing:
            end: PublishingEnd
            if self.plan.bus == "zmq":
                import zmq

                from cardan.runtime.bus.zmq import ZmqPublisher

                context = closing.enter_context(zmq.Context())
                end = ZmqPublisher(context, self.paths.bus, self.node, latched=self._latched())
            else:
                end = RingPublisher(self.plan, self.node, self.paths.bus, outputs, self.epoch, self.fds)
            closing.callback(end.close)
            yield end

    def _latched(self) -> frozenset[bytes]:
        return frozenset(output.topic.encode() for output in self.plan.node(self.node).outputs if output.latched)

    @contextmanager
    def subscriber(self, topics: dict[str, Subscription]) -> Iterator[ReadingEnd]:
        """The reading end. BusError when a topic carries another type than is read."""
        with ExitStack() as closing:
            end: ReadingEnd
            if self.plan.bus == "zmq":
                import zmq

                from cardan.runtime.bus.zmq import ZmqSubscriber

                end = ZmqSubscriber(closing.enter_context(zmq.Context()), self.paths.bus, list(topics))
            else:
                end = RingSubscriber(self.plan, self.node, self.paths.bus, topics, self.fds.own)
            closing.callback(end.close)
            yield end
