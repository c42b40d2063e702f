"""A node's two ends on rings in the folder of its run: one ring for each topic.

Rings are there before any node is. A node that is stepped by an input owns an eventfd and a bell; who publishes that
input writes to the eventfd, unless the bell says that the node is awake. A node that is stepped by time is never woken
up: it looks into its rings when its step begins, without a system call.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cardan.runtime.bus.bells import Bells, PythonBell, create_bells
from cardan.runtime.bus.ends import AGAIN, Deliver, Passed, other_type
from cardan.runtime.bus.publisher_lock import lock_publisher
from cardan.runtime.bus.ring import RingReader, RingWriter
from cardan.runtime.bus.ring_file import create_ring, open_ring
from cardan.runtime.bus.ring_layout import COUNT, SCHEMA
from cardan.runtime.clock import Clock, ns
from cardan.runtime.plan import NodePlan, Plan

DRAIN_AT_MOST = 20_000
"""Messages of one topic that are handed over before the next topic has its turn."""
LOOK_NS = ns(0.1)
"""A ring holds seconds of messages; who queues them takes them this often."""


class WakeFds(msgspec.Struct, frozen=True, kw_only=True):
    """The eventfds that the supervisor hands to a node."""

    own: int | None = None
    """What wakes it up; None for a node that is stepped by time or by its devices."""
    readers: dict[str, int] = {}
    """Node that this one wakes up -> its eventfd."""

    def all(self) -> set[int]:
        """Every descriptor."""
        return {*self.readers.values(), *([] if self.own is None else [self.own])}


def ring_path(bus_dir: Path, topic: str) -> Path:
    """The file of a topic's ring."""
    return bus_dir / f"{topic.replace('/', '.')}.ring"


def create_rings(plan: Plan, bus_dir: Path) -> None:
    """Make the rings of every topic of `plan`, and the bells; the supervisor does this once, before the first node."""
    create_bells(plan, bus_dir)
    for topic in plan.topics():
        create_ring(ring_path(bus_dir, topic), topic, plan.ring_bytes)


def wakes(node: NodePlan) -> list[str]:
    """The topics whose messages step `node`."""
    return [topic for item in node.inputs if node.is_stepped_by(item.port) for topic in item.topics]


def woken_by(plan: Plan, publisher: str) -> dict[str, list[str]]:
    """Topic of `publisher` -> the nodes that are stepped by it."""
    woken: dict[str, list[str]] = {}
    for node in plan.nodes:
        for topic in wakes(node):
            if topic.partition("/")[0] == publisher:
                woken.setdefault(topic, []).append(node.name)
    return woken


class RingPublisher:
    """The publishing end of one node.

    outputs: topic -> schema id of its messages. epoch: start count of the node.
    """

    def __init__(self, plan: Plan, node: str, bus_dir: Path, outputs: dict[str, int], epoch: int, fds: WakeFds) -> None:
        with ExitStack() as opened:
            opened.callback(os.close, lock_publisher(bus_dir, node))
            woken = woken_by(plan, node)
            bells = Bells(plan, bus_dir)
            opened.callback(bells.close)
            readers = {name: bells.of(name, fd) for name, fd in fds.readers.items()}
            self._topics: dict[bytes, tuple[RingWriter, tuple[PythonBell, ...]]] = {}
            for topic, schema in outputs.items():
                ring = open_ring(ring_path(bus_dir, topic), writable=True)
                opened.callback(ring.close)
                writer = RingWriter(ring, schema=schema, epoch=epoch, pid=os.getpid())
                targets = tuple(readers[name] for name in woken.get(topic, []) if name in readers)
                self._topics[topic.encode()] = writer, targets
            self._closing = opened.pop_all()

    def send(self, topic: bytes, header: bytes, payload: bytes) -> None:
        """Publish one message and wake up the nodes that are stepped by it."""
        writer, targets = self._topics[topic]
        writer.write(header, payload, targets)

    def wait_for_readers(self, expected: dict[bytes, int], clock: Clock, timeout_s: float) -> bool:
        """True at once: a ring keeps what its readers have not yet read."""
        return True

    def serve(self) -> None:
        """Nothing to do: readers come and go by themselves."""

    def close(self) -> None:
        self._topics = {}
        self._closing.close()


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """How one topic is read."""

    every: bool
    """True: each message in order; False: the newest alone."""
    schema: int | None
    """What the messages must be; None takes any type."""
    next_index: int | None
    """The first message this node has not seen yet, also in an earlier process; None: the newest is the first."""
    latched: bool = False
    """A new process gets the last message again."""

    def require(self, topic: str, published: int) -> None:
        """BusError when `topic` is known to carry another type. published: schema id, 0 before the first publisher."""
        if self.schema is not None and published not in (0, self.schema):
            raise other_type(topic)


class RingSubscriber:
    """The reading end of one node; BusError when a topic carries another type than it reads."""

    def __init__(
        self, plan: Plan, node: str, bus_dir: Path, topics: dict[str, Subscription], own_fd: int | None = None
    ) -> None:
        self.look_every_ns = LOOK_NS if any(item.every for item in topics.values()) else 0
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._readers: list[RingReader] = []
        self._newest: list[tuple[str, RingReader]] = []
        self._queues: list[tuple[str, RingReader]] = []
        self._again: list[tuple[str, RingReader]] = []
        self._bell: PythonBell | None = None
        with ExitStack() as opened:
            opened.callback(self._epoll.close)
            if own_fd is not None:
                self._epoll.register(own_fd, select.EPOLLIN | select.EPOLLET)
                bells = Bells(plan, bus_dir)
                opened.callback(bells.close)
                self._bell = bells.of(node, own_fd)
                self._bell.fall_asleep()  # a killed predecessor may have been awake
            for topic, how in topics.items():
                ring = open_ring(ring_path(bus_dir, topic))
                opened.callback(ring.close)
                how.require(topic, ring.words[SCHEMA])
                reader = RingReader(ring, _first(ring.words[COUNT], how))
                self._readers.append(reader)
                (self._queues if how.every else self._newest).append((topic, reader))
                if how.latched and 0 < reader.next == ring.words[COUNT]:
                    self._again.append((topic, RingReader(ring, reader.next - 1)))
            self._closing = opened.pop_all()

    def watch(self, descriptors: Iterable[int]) -> None:
        for descriptor in descriptors:
            self._watched.add(descriptor)
            self._epoll.register(descriptor, select.EPOLLIN)

    def wait(self, timeout_s: float) -> list[int]:
        """The eventfd is watched for edges, so it is never read: one system call for each wake-up."""
        if self._bell is None:
            ready = [descriptor for descriptor, _ in self._epoll.poll(timeout_s)]
        else:
            self._bell.fall_asleep()
            for reader in self._readers:
                if reader.waiting:
                    timeout_s = 0.0
                    break
            ready = self._bell.sleep(self._epoll, timeout_s)
        return [descriptor for descriptor in ready if descriptor in self._watched] if self._watched else []

    def drain(self, deliver: Deliver) -> int:
        total = self._deliver_again(deliver) if self._again else 0
        for topic, reader in self._newest:
            arrival = reader.take_newest()
            if arrival is not None:
                deliver(topic, arrival.message, arrival)
                total += 1
        for topic, reader in self._queues:
            single = reader.take_single()
            for arrival in reader.take(DRAIN_AT_MOST) if single is None else (single,):
                deliver(topic, arrival.message, arrival)
                total += 1
        return total

    def _deliver_again(self, deliver: Deliver) -> int:
        """The last message of latched topics, which an earlier process of this node has counted already."""
        again, self._again = self._again, []
        for topic, reader in again:
            arrival = reader.take_newest()
            if arrival is not None:
                deliver(topic, arrival.message, Passed(AGAIN, 0, 0))
        return len(again)

    def close(self) -> None:
        self._readers, self._newest, self._queues, self._again = [], [], [], []
        if self._bell is not None:
            self._bell.fall_asleep()  # for good
        self._bell = None
        self._closing.close()


def _first(count: int, how: Subscription) -> int:
    if how.next_index is None or how.next_index > count:
        return count
    return how.next_index
