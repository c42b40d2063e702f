"""Real sockets for the tests of gateways and links: a publisher on the bus of a run, keys, and short paths."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
import zmq

from cardan.runtime.bus.envelope import Header, pack
from cardan.runtime.bus.zmq import ZmqPublisher
from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.link.client import ClientSettings, LinkClient
from cardan.runtime.link.gateway import Gateway, GatewaySettings
from cardan.runtime.link.keys import KeyFolder, KeyPair
from cardan.runtime.link.presence import Change
from cardan.runtime.link.source import ZmqSource

Context = zmq.Context[zmq.Socket[bytes]]
PATIENCE_S = 10.0
TOPICS = {"lidar/points": "tests:Points", "lidar/pose": "tests:Pose", "lidar/pose_raw": "tests:Pose"}


class Pumped(Protocol):
    """Whatever works when it is given the time."""

    def pump(self) -> object: ...


@dataclass
class Listener:
    """A link's client with everything it got."""

    client: LinkClient
    got: list[tuple[str, Header, bytes]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def pump(self) -> None:
        self.changes += self.client.step(lambda topic, header, data: self.got.append((topic, header, bytes(data))))

    @property
    def numbers(self) -> list[int]:
        return [header.seq for _, header, _ in self.got]


class Site:
    """One computer: a bus with the publisher `lidar`, gateways, and the keys of both ends. All sockets are real."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = MonotonicClock()
        self.bus = folder / "bus"
        self.bus.mkdir()
        self.frames = folder / "frames"
        self.frames.mkdir()
        self.keys = KeyFolder(folder / "keys")
        self.pair = self.keys.create("box", zmq.curve_keypair)
        self.laptop = KeyPair("car", *zmq.curve_keypair())
        self.contexts: list[Context] = []
        self.closing: list[Callable[[], object]] = []
        self.said: list[str] = []
        self.publisher = ZmqPublisher(self.context(), self.bus, "lidar")
        self.closing.append(self.publisher.close)
        self.seq = 0

    def context(self) -> Context:
        context: Context = zmq.Context()
        self.contexts.append(context)
        return context

    def gateway(
        self, bind: str = "tcp://127.0.0.1:*", *, run: str = "r1", latched: frozenset[str] = frozenset()
    ) -> Gateway:
        context = self.context()
        encrypted = bind.startswith("tcp")
        gateway = Gateway(
            context,
            GatewaySettings(bind=bind, topics=TOPICS, latched=latched, run=run, vehicle="lidar-box"),
            ZmqSource(context, self.bus),
            self.frames,
            self.clock,
            self.said.append,
            pair=self.pair if encrypted else None,
            keys=self.keys if encrypted else None,
        )
        self.closing.append(gateway.close)
        return gateway

    def listener(
        self,
        address: str,
        *topics: str,
        pair: KeyPair | None = None,
        server_key: bytes | None = None,
        plain: bool = False,
    ) -> Listener:
        client = LinkClient(
            self.context(),
            ClientSettings(address=address, topics=topics, beat_s=0.02, timeout_s=0.3),
            self.clock,
            pair=None if plain else pair or self.laptop,
            server_key=None if plain else server_key or self.pair.public,
        )
        self.closing.append(client.close)
        return Listener(client)

    def send(self, topic: str = "lidar/pose", payload: bytes = b"\x80", **changes: int) -> None:
        """Publish one message now."""
        now_ns = self.clock.now_ns()
        header = {"seq": self.seq, "sent_ns": now_ns, "origin_ns": now_ns, "schema": 7, "epoch": 1, **changes}
        self.publisher.send(topic.encode(), pack(**header, valid=True), payload)
        self.seq += 1

    def until(self, condition: Callable[[], object], *parts: Pumped) -> None:
        """Let gateways and listeners work until the condition holds; fails after ten seconds."""
        deadline_ns = self.clock.now_ns() + ns(PATIENCE_S)
        while not condition():
            assert self.clock.now_ns() < deadline_ns, f"waited ten seconds in vain; was said: {self.said}"
            for part in parts:
                part.pump()
            self.clock.sleep_until_ns(self.clock.now_ns() + 200_000)

    def connected(self, gateway: Gateway, *topics: str) -> Listener:
        """A trusted listener whose subscriptions have arrived."""
        if "car" not in self.keys.trusted():
            self.keys.trust("car", self.laptop.public)
        listener = self.listener(gateway.endpoint, *topics, plain=gateway.endpoint.startswith("ipc"))
        self.until(lambda: all(self.subscribed(topic) for topic in topics), gateway, listener)
        return listener

    def subscribed(self, topic: str, count: int = 1) -> bool:
        """True when so many read `topic` from the publisher."""
        self.publisher.serve()
        return self.publisher.wait_for_readers({topic.encode(): count}, self.clock, 0.0)

    def close(self) -> None:
        for close in reversed(self.closing):
            close()
        for context in self.contexts:
            context.destroy(linger=0)


@pytest.fixture
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="cl-") as folder:
        site = Site(Path(folder))
        try:
            yield site
        finally:
            site.close()
