"""Where a gateway reads topics from: from outside the nodes, and only those that somebody asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import zmq

from cardan.runtime.bus.ring import RingReader
from cardan.runtime.bus.ring_ends import ring_path
from cardan.runtime.bus.ring_file import RingMap, open_ring
from cardan.runtime.bus.zmq import DONTWAIT, RECEIVE_QUEUE, RECONNECT_MS, endpoint

Deliver = Callable[[str, bytes], None]
"""Topic, and envelope + msgpack."""
ROUND = 1000
"""Messages that are taken in one round at most, so that new subscribers are heard meanwhile."""


class TopicSource(Protocol):
    """Topics of one run, read without being one of its nodes."""

    def want(self, topics: set[str]) -> None:
        """Read these topics from now on, and no others."""

    def drain(self, deliver: Deliver) -> int:
        """Hand over what has arrived, oldest first, up to a bound; how many messages."""

    @property
    def descriptors(self) -> list[int]:
        """What becomes readable with news; empty for a source that has to be looked at."""

    @property
    def overtaken(self) -> int:
        """Messages that were gone before they could be read."""

    def close(self) -> None:
        """Read nothing any more."""


class RingSource:
    """The rings of a run: read from shared memory, so that whoever publishes cannot notice.

    latched: topics of which the last message counts as news when somebody begins to read them.
    """

    def __init__(self, bus_dir: Path, latched: set[str]) -> None:
        self._bus_dir = bus_dir
        self._latched = latched
        self._rings: dict[str, tuple[RingMap, RingReader]] = {}
        self._overtaken = 0

    def want(self, topics: set[str]) -> None:
        for topic in self._rings.keys() - topics:
            self._rings.pop(topic)[0].close()
        for topic in topics - self._rings.keys():
            ring = open_ring(ring_path(self._bus_dir, topic))
            reader = RingReader(ring)
            if topic in self._latched:
                reader.next = max(0, reader.next - 1)
            self._rings[topic] = ring, reader

    def drain(self, deliver: Deliver) -> int:
        total = 0
        for topic, (_, reader) in self._rings.items():
            for arrival in reader.take(ROUND):
                self._overtaken += arrival.lost
                deliver(topic, arrival.message)
                total += 1
        return total

    @property
    def descriptors(self) -> list[int]:
        return []

    @property
    def overtaken(self) -> int:
        return self._overtaken

    def close(self) -> None:
        self.want(set())


class ZmqSource:
    """The sockets of a run with `bus = "zmq"`: subscribes as any program may."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], bus_dir: Path) -> None:
        self._bus_dir = bus_dir
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._connected: set[str] = set()
        self._wanted: set[str] = set()

    def want(self, topics: set[str]) -> None:
        for topic in topics - self._wanted:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        for topic in self._wanted - topics:
            self._socket.setsockopt(zmq.UNSUBSCRIBE, topic.encode())
        for node in {topic.partition("/")[0] for topic in topics} - self._connected:
            self._socket.connect(endpoint(self._bus_dir, node))
            self._connected.add(node)
        self._wanted = set(topics)

    def drain(self, deliver: Deliver) -> int:
        for count in range(ROUND):
            try:
                name = self._socket.recv(DONTWAIT).decode(errors="replace")
            except zmq.Again:
                return count
            message = self._socket.recv(DONTWAIT)
            if name in self._wanted:  # a subscription is a prefix: `can/frame` also brings `can/frames`
                deliver(name, message)
        return ROUND

    @property
    def descriptors(self) -> list[int]:
        return [int(self._socket.getsockopt(zmq.FD))]

    @property
    def overtaken(self) -> int:
        return 0  # ZeroMQ drops at the publisher; the reader sees the gap in the sequence

    def close(self) -> None:
        self._socket.close()
