"""The two ends of a node on the bus, as every transport offers them; the contract tests hold each to the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from cardan.runtime.clock import Clock
from cardan.runtime.errors import BusError

AGAIN = -1
"""The `number` of a message that this node has had before, in an earlier process: it is not counted again."""


class Passed(msgspec.Struct, frozen=True, gc=False):
    """What a transport that numbers messages itself knows of one arrival; others leave it to the sequence numbers."""

    number: int
    """Number of the message in its topic, counted on over restarts of the publisher."""
    skipped: int
    """Older messages that came with it and that it replaces."""
    lost: int
    """Messages before it that never came."""


class Deliver(Protocol):
    """Takes one message of a topic: its envelope and payload."""

    def __call__(self, topic: str, message: bytes, passed: Passed | None = None) -> None: ...


def other_type(topic: str, reader: str = "this node") -> BusError:
    """What a reader says of a topic that does not carry what it takes. reader: an input, or the whole node."""
    return BusError(
        f"{topic} carries another message type than {reader} reads",
        hint="do publisher and reader run the same code? `cardan check`",
    )


class PublishingEnd(Protocol):
    """All topics that one node publishes. A second one for the same node is refused with BusError."""

    def send(self, topic: bytes, header: bytes, payload: bytes) -> None:
        """Publish one message. Never blocks."""

    def wait_for_readers(self, expected: dict[bytes, int], clock: Clock, timeout_s: float) -> bool:
        """Wait until so many readers of each topic will get what is sent from now on; False when time is up first."""

    def serve(self) -> None:
        """Attend to readers that have come since. Called whenever the node looks at its bus; never blocks."""

    def close(self) -> None: ...


class ReadingEnd(Protocol):
    """All topics that one node reads."""

    look_every_ns: int
    """A node that sleeps longer than this drains in between; 0 when it need not."""

    def watch(self, descriptors: Iterable[int]) -> None:
        """Wake up also when one of these descriptors is readable."""

    def wait(self, timeout_s: float) -> list[int]:
        """Block until there may be news or a watched descriptor is readable; the readable ones among those watched."""

    def drain(self, deliver: Deliver) -> int:
        """Hand over what has arrived, oldest first in each topic; the number of messages. Never blocks."""

    def close(self) -> None: ...
