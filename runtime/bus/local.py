"""The bus in one process, for tests and deterministic replay: no socket, no shared memory, no time of its own.

Messages are handed over when the reader drains, in the order in which they were sent, with the same bytes, the same
counting, and the same refusals as on every other transport.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from cardan.runtime.bus.ends import AGAIN, Deliver, Passed
from cardan.runtime.bus.ring_ends import Subscription
from cardan.runtime.clock import Clock
from cardan.runtime.errors import BusError

QUEUE = 20_000
"""Messages that wait for one reader of one topic; the oldest is lost, and counted, when there are more."""


@dataclass
class _Topic:
    schema: int = 0
    latched: bool = False
    count: int = 0
    last: bytes | None = None
    readers: list[_Waiting] = field(default_factory=list)


@dataclass
class _Waiting:
    """What one reader has not yet taken of one topic."""

    every: bool
    messages: deque[tuple[int, bytes]] = field(default_factory=deque)
    skipped: int = 0
    lost: int = 0

    def add(self, number: int, message: bytes) -> None:
        if not self.every and self.messages:
            self.messages.clear()
            self.skipped += 1
        elif len(self.messages) >= QUEUE:
            self.messages.popleft()
            self.lost += 1
        self.messages.append((number, message))

    def take(self) -> tuple[bytes, Passed]:
        number, message = self.messages.popleft()
        passed = Passed(number, self.skipped, self.lost)
        self.skipped = self.lost = 0
        return message, passed


class LocalBus:
    """All topics of one process. Not thread-safe."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._publishers: set[str] = set()

    def publisher(self, node: str, outputs: dict[str, int], latched: Iterable[str] = ()) -> LocalPublisher:
        """The publishing end of `node`; BusError when it has one. outputs: topic -> schema id."""
        if node in self._publishers:
            raise BusError(
                f'the topics of node "{node}" already have a publisher (in this process)',
                hint="stop the other one first, or give this node another name",
            )
        self._publishers.add(node)
        for topic, schema in outputs.items():
            state = self._topic(topic)
            state.schema, state.latched = schema, topic in set(latched)
        return LocalPublisher(self, node, list(outputs))

    def subscriber(self, topics: dict[str, Subscription]) -> LocalSubscriber:
        """A reading end; BusError when a topic carries another type than is read."""
        waiting = {}
        for topic, how in topics.items():
            state = self._topic(topic)
            how.require(topic, state.schema)
            waiting[topic] = _Waiting(how.every)
            if state.latched and state.last is not None:
                waiting[topic].messages.append((AGAIN, state.last))
            state.readers.append(waiting[topic])
        return LocalSubscriber(self, waiting)

    def _topic(self, name: str) -> _Topic:
        return self._topics.setdefault(name, _Topic())

    def _send(self, topic: str, message: bytes) -> None:
        state = self._topic(topic)
        for reader in state.readers:
            reader.add(state.count, message)
        state.count += 1
        state.last = message

    def _leave(self, waiting: dict[str, _Waiting]) -> None:
        for topic, reader in waiting.items():
            self._topics[topic].readers = [other for other in self._topics[topic].readers if other is not reader]


class LocalPublisher:
    """See PublishingEnd."""

    def __init__(self, bus: LocalBus, node: str, topics: list[str]) -> None:
        self._bus = bus
        self._node = node
        self._names = {topic.encode(): topic for topic in topics}

    def send(self, topic: bytes, header: bytes, payload: bytes) -> None:
        self._bus._send(self._names[topic], header + payload)

    def wait_for_readers(self, expected: dict[bytes, int], clock: Clock, timeout_s: float) -> bool:
        return all(len(self._bus._topic(topic.decode()).readers) >= count for topic, count in expected.items())

    def serve(self) -> None:
        """Nothing to do: a latched message is there for whoever comes."""

    def close(self) -> None:
        self._bus._publishers.discard(self._node)


class LocalSubscriber:
    """See ReadingEnd."""

    look_every_ns = 0

    def __init__(self, bus: LocalBus, waiting: dict[str, _Waiting]) -> None:
        self._bus = bus
        self._waiting = waiting

    def watch(self, descriptors: Iterable[int]) -> None:
        """Devices have no place in a process that only plays time."""
        if list(descriptors):
            raise BusError("the bus in one process cannot wait for a descriptor", hint="test this node with its device")

    def wait(self, timeout_s: float) -> list[int]:
        """Returns at once: nobody else can send meanwhile."""
        return []

    def drain(self, deliver: Deliver) -> int:
        total = 0
        for topic, waiting in self._waiting.items():
            while waiting.messages:
                message, passed = waiting.take()
                deliver(topic, message, passed)
                total += 1
        return total

    def close(self) -> None:
        self._bus._leave(self._waiting)
        self._waiting = {}
