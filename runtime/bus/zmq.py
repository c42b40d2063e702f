"""The ZeroMQ transport: one XPUB socket per publishing node, one SUB socket per reading node.

On the wire a message is two frames, `node/output` and envelope + msgpack, so that any ZeroMQ program can listen.
Sockets are `ipc://` in the run directory, which only the service user can enter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Set
from pathlib import Path

import zmq

from cardan.runtime.bus.ends import Deliver
from cardan.runtime.bus.publisher_lock import lock_publisher
from cardan.runtime.clock import Clock, ns

SEND_QUEUE = 10_000
RECEIVE_QUEUE = 20_000
"""Bounds in messages: a reader that stalls for seconds loses messages, and sees how many by their sequence."""
RECONNECT_MS = 5
DONTWAIT = int(zmq.DONTWAIT)
MORE = int(zmq.SNDMORE | zmq.DONTWAIT)
READABLE = int(zmq.POLLIN)
"""Numbers, and each frame by itself: pyzmq's enumerations and its calls for whole messages take five times as long."""
LOOK_NS = ns(0.02)
"""ZeroMQ subscribes again only when its socket is used: a reader uses it at least this often."""


def endpoint(bus_dir: Path, node: str) -> str:
    """Where `node` publishes."""
    return f"ipc://{bus_dir / node}.sock"


class ZmqPublisher:
    """The publishing end of one node: all its topics over one socket. A second publisher of a node is refused.

    latched: topics of which a late reader gets the last message.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        bus_dir: Path,
        node: str,
        *,
        latched: Set[bytes] = frozenset(),
    ) -> None:
        self._latched = latched
        self._last: dict[bytes, bytes] = {}
        self._lock = lock_publisher(bus_dir, node)
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, SEND_QUEUE)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._socket.setsockopt(zmq.LINGER, 200)
        self._subscribers: dict[bytes, int] = {}
        self._socket.bind(endpoint(bus_dir, node))
        self._send_frame = super(zmq.Socket, self._socket).send
        """What `Socket.send` calls in the end: its wrapper takes as long again."""

    def send(self, topic: bytes, header: bytes, payload: bytes) -> None:
        """Publish one message; never blocks (a full queue drops it for that reader, who sees the gap)."""
        message = header + payload
        if topic in self._latched:
            self._last[topic] = message
        self._send_frame(topic, MORE)
        self._send_frame(message, DONTWAIT)

    def wait_for_readers(self, expected: dict[bytes, int], clock: Clock, timeout_s: float) -> bool:
        """Wait until each topic has its expected number of readers; False when `timeout_s` passes first."""
        deadline_ns = clock.now_ns() + ns(timeout_s)
        while not self._has(expected):
            remaining_ms = (deadline_ns - clock.now_ns()) // 1_000_000
            if remaining_ms <= 0:
                return False
            self._socket.poll(remaining_ms)
            self.serve()
        return True

    def serve(self) -> None:
        """Hear who reads by now, and say latched messages again to those who came late.

        Everybody who reads such a topic gets it again; readers know it by its sequence.
        """
        for prefix in self._read_subscriptions():
            for topic, message in self._last.items():
                if topic.startswith(prefix):
                    self._send_frame(topic, MORE)
                    self._send_frame(message, DONTWAIT)

    def _has(self, expected: dict[bytes, int]) -> bool:
        return all(self._subscribers.get(topic, 0) >= count for topic, count in expected.items())

    def _read_subscriptions(self) -> list[bytes]:
        """Count who came and went; what was subscribed to."""
        fresh = []
        while self._socket.poll(0):
            event = self._socket.recv(DONTWAIT)
            came = event[:1] == b"\1"
            self._subscribers[event[1:]] = self._subscribers.get(event[1:], 0) + (1 if came else -1)
            if came:
                fresh.append(event[1:])
        return fresh

    def close(self) -> None:
        """Send what is queued (up to 0.2 s) and close."""
        self._socket.close()
        os.close(self._lock)


class ZmqSubscriber:
    """The reading end of one node: all its inputs over one socket."""

    look_every_ns = LOOK_NS

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], bus_dir: Path, topics: list[str]) -> None:
        self.socket = context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE)
        self.socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self.socket.setsockopt(zmq.LINGER, 0)
        self._watched: set[int] = set()
        self._first: bytes | None = None
        self._timeout_ms = -1
        self._poller = zmq.Poller()
        self._poller.register(self.socket, zmq.POLLIN)
        self._itself = [(self.socket, READABLE)]
        for topic in topics:
            self.socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        for node in sorted({topic.split("/")[0] for topic in topics}):
            self.socket.connect(endpoint(bus_dir, node))

    def watch(self, descriptors: Iterable[int]) -> None:
        for descriptor in descriptors:
            self._watched.add(descriptor)
            self._poller.register(descriptor, zmq.POLLIN)

    def wait(self, timeout_s: float) -> list[int]:
        timeout_ms = max(0, round(timeout_s * 1000))
        if not self._watched:
            self._wait_for_message(timeout_ms)
            return []
        ready = self._poller.poll(timeout_ms)
        return [item for item, _ in ready if isinstance(item, int) and item in self._watched]

    def _wait_for_message(self, timeout_ms: int) -> None:
        """Take the first frame of the next message: one call into ZeroMQ less than to ask whether there is one."""
        if self._first is not None:
            return
        if timeout_ms != self._timeout_ms:
            self.socket.setsockopt(zmq.RCVTIMEO, timeout_ms)
            self._timeout_ms = timeout_ms
        try:
            self._first = self.socket.recv()
        except zmq.Again:
            return

    def drain(self, deliver: Deliver, limit: int = RECEIVE_QUEUE) -> int:
        """Hand over every message that has arrived, oldest first; the number of messages."""
        receive = self.socket.recv
        taken = 0
        if self._first is not None:
            topic, self._first, taken = self._first, None, 1
            deliver(topic.decode(), receive(DONTWAIT))  # a message comes whole or not at all
            if not zmq.zmq_poll(self._itself, 0):  # the usual case, and to ask is cheaper than to be refused
                return taken
        for count in range(taken, limit):
            try:
                topic = receive(DONTWAIT)
            except zmq.Again:
                return count
            deliver(topic.decode(), receive(DONTWAIT))
        return limit

    def close(self) -> None:
        self.socket.close()
