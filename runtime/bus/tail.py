"""How tools watch a run: from outside, over whatever transport it uses, without the publishers noticing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.ring import RingReader
from cardan.runtime.bus.ring_ends import DRAIN_AT_MOST, ring_path
from cardan.runtime.bus.ring_file import open_ring
from cardan.runtime.clock import Clock, ns
from cardan.runtime.plan import Plan

LOOK_NS = ns(0.005)
"""Rings wake up nobody from outside: a waiting tool looks this often."""

Take = Callable[[str, bytes], None]
"""Gets a topic, and envelope and payload of one message."""


class Tail(Protocol):
    """A subscription of a tool. Not thread-safe."""

    missed: int
    """Messages that were overwritten before they were taken (rings; over ZeroMQ the sequence shows what is missing)."""

    def wait(self, timeout_s: float) -> None:
        """Block until there may be messages, or until time is up."""

    def peek(self, take: Take) -> bool:
        """Show the newest message of each topic, which stays to be drained; False where it cannot be known (ZeroMQ)."""

    def drain(self, take: Take) -> int:
        """Hand over what has come since the last call, in order for each topic; how many. Never blocks."""

    def close(self) -> None: ...


def open_tail(plan: Plan, bus_dir: Path, topics: list[str], clock: Clock, last: int = 0) -> Tail:
    """Watch `topics` of an active run, from now on. BusError when the run has gone.

    last: start with so many of the newest messages that each topic has had already (rings keep them, ZeroMQ does not).
    """
    if plan.bus == "zmq":
        return _ZmqTail(bus_dir, topics)
    return _RingTail(bus_dir, topics, clock, last)


class _RingTail:
    def __init__(self, bus_dir: Path, topics: list[str], clock: Clock, last: int) -> None:
        self.missed = 0
        self._clock = clock
        self._rings = []
        self._readers = []
        for topic in topics:
            ring = open_ring(ring_path(bus_dir, topic))
            reader = RingReader(ring)
            reader.next = max(0, reader.next - last)
            self._rings.append(ring)
            self._readers.append((topic, reader))

    def wait(self, timeout_s: float) -> None:
        deadline_ns = self._clock.now_ns() + ns(timeout_s)
        while not any(reader.waiting for _, reader in self._readers):
            now_ns = self._clock.now_ns()
            if now_ns >= deadline_ns:
                return
            self._clock.sleep_until_ns(min(deadline_ns, now_ns + LOOK_NS))

    def peek(self, take: Take) -> bool:
        for topic, reader in self._readers:
            message = reader.peek_newest()
            if message is not None:
                take(topic, message)
        return True

    def drain(self, take: Take) -> int:
        total = 0
        for topic, reader in self._readers:
            for arrival in reader.take(DRAIN_AT_MOST):
                self.missed += arrival.lost
                take(topic, arrival.message)
                total += 1
        return total

    def close(self) -> None:
        self._readers = []
        for ring in self._rings:
            ring.close()
        self._rings = []


class _ZmqTail:
    missed = 0

    def __init__(self, bus_dir: Path, topics: list[str]) -> None:
        import zmq

        from cardan.runtime.bus.zmq import ZmqSubscriber

        self._topics = frozenset(topics)
        self._context = zmq.Context()
        self._subscriber = ZmqSubscriber(self._context, bus_dir, topics)

    def wait(self, timeout_s: float) -> None:
        self._subscriber.wait(timeout_s)

    def peek(self, take: Take) -> bool:
        return False

    def drain(self, take: Take) -> int:
        def deliver(topic: str, message: bytes, passed: Passed | None = None) -> None:
            if topic in self._topics:  # a subscription is a prefix: `can/frame` also brings `can/frames`
                take(topic, message)

        return self._subscriber.drain(deliver)

    def close(self) -> None:
        self._subscriber.close()
        self._context.term()
