"""Listening to the topics of the run that was found, whether it is active or has ended.

Rings are read where they lie: their publishers do not notice, and the last messages are there although a publisher is
dead or hung. Over ZeroMQ one hears what is sent from now on, as any program may.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cardan.runtime.bus.envelope import HEADER_SIZE, Header, unpack
from cardan.runtime.bus.ring_ends import ring_path
from cardan.runtime.bus.tail import open_tail
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import Clock
from cardan.runtime.errors import BusError

ALL = 1 << 20
"""More messages than a ring holds."""


class Heard(NamedTuple):
    """One message."""

    header: Header
    payload: bytes


class Tap:
    """What comes on one topic from now on; with `last`, begins with so many messages that were sent before.

    NoDataError when the run has ended and nothing was kept of the topic. Not thread-safe; `close()` it.
    """

    def __init__(self, found: FoundRun, topic: str, clock: Clock, last: int = 0) -> None:
        self._tail = open_tail(found.plan, _bus_dir(found, topic), [topic], clock, last)

    @property
    def missed(self) -> int:
        """Messages that were overwritten before they were taken here."""
        return self._tail.missed

    def wait(self, timeout_s: float) -> None:
        """Block until there may be messages, or until time is up."""
        self._tail.wait(timeout_s)

    def take(self) -> list[Heard]:
        """What has come since the last call, oldest first; never blocks. BusError for what is no message of ours."""
        taken: list[Heard] = []
        self._tail.drain(lambda _, message: taken.append(Heard(unpack(message), message[HEADER_SIZE:])))
        return taken

    def close(self) -> None:
        self._tail.close()


def keeps(found: FoundRun) -> bool:
    """True when messages can be read after they were sent."""
    return found.plan.bus == "ring"


def last_messages(found: FoundRun, topic: str, number: int, clock: Clock) -> list[Heard]:
    """The newest messages that are kept of a topic, oldest first, at most `number`; none over ZeroMQ."""
    if not keeps(found):
        return []
    tap = Tap(found, topic, clock, last=number)
    try:
        return tap.take()[-number:]
    finally:
        tap.close()


def newest_or_none(found: FoundRun, topic: str, clock: Clock) -> Heard | None:
    """The newest message that is kept of a topic."""
    return next(iter(last_messages(found, topic, 1, clock)), None)


def whole(found: FoundRun, payload: bytes) -> bytes:
    """The payload itself of a long message, for which only a descriptor went over the bus.

    `payload` as it is when the publisher has used that shared memory for something else by now, or the run has ended.
    """
    if found.bus_dir is None:
        return payload
    import msgspec

    from cardan.runtime.bus.slots import SlotDescriptor, SlotMaps

    maps = SlotMaps(found.bus_dir.parent / "frames")
    try:
        outer = msgspec.msgpack.decode(payload, type=msgspec.msgpack.Ext)
        slot = msgspec.msgpack.decode(outer.data, type=SlotDescriptor)
        content = maps.view(slot).tobytes()
        return content if maps.intact(slot) else payload
    except (BusError, msgspec.MsgspecError):
        return payload
    finally:
        maps.close()


def _bus_dir(found: FoundRun, topic: str) -> Path:
    if found.bus_dir is not None:
        return found.bus_dir
    if keeps(found) and ring_path(found.kept_bus_dir, topic).exists():
        return found.kept_bus_dir
    raise NoDataError(
        f"no run is active, and no message of {topic} was kept of the last one",
        hint="messages are kept of topics that go through rings; a recording has all: `cardan status` says where it is",
    )
