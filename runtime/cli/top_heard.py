"""What the topics of a run said last, for `cardan top`: CAN channels, links, and who drives."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cardan.runtime.bus.envelope import HEADER_SIZE, unpack
from cardan.runtime.bus.tail import Tail, open_tail
from cardan.runtime.can_health import CanChannelHealth, CanHealth
from cardan.runtime.cli.engagement import describe
from cardan.runtime.cli.foreign import decode_foreign
from cardan.runtime.cli.lines import safe_text
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.cli.summary import verdict_topic
from cardan.runtime.clock import Clock
from cardan.runtime.errors import BusError

LINK_STATE = "cardan.runtime.link.link_node:LinkState"


@dataclass(frozen=True)
class Channel:
    """A CAN channel and when its reader spoke of it."""

    health: CanChannelHealth
    sent_ns: int


@dataclass(frozen=True)
class Link:
    """A link to another computer, as its node says."""

    up: bool
    text: str


@dataclass(frozen=True)
class Heard:
    """The newest of everything."""

    engagement: str = ""
    channels: list[Channel] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)


class Listener:
    """Keeps the newest message of the topics that matter. Not thread-safe; `close()` it."""

    def __init__(self, found: FoundRun, clock: Clock) -> None:
        kinds = {topic: output.type for topic, output in found.plan.topics().items()}
        self._verdict = verdict_topic(found.plan)
        self._health = [topic for topic, kind in kinds.items() if kind.endswith(":CanHealth")]
        self._links = [topic for topic, kind in kinds.items() if kind == LINK_STATE]
        self._newest: dict[str, bytes] = {}
        self._tails: list[Tail] = []
        for topic in [*self._health, *self._links, *([self._verdict] if self._verdict else [])]:
            with suppress(BusError):
                if found.bus_dir is not None:
                    self._tails.append(open_tail(found.plan, found.bus_dir, [topic], clock, last=1))

    def hear(self) -> Heard:
        """What was said last. Never blocks."""
        for tail in self._tails:
            tail.drain(self._keep)
        return Heard(
            engagement=describe(self._fields(self._verdict)),
            channels=[channel for topic in self._health for channel in self._channels(topic)],
            links={topic.split("/")[0]: link for topic in self._links if (link := _link(self._fields(topic)))},
        )

    def _keep(self, topic: str, message: bytes) -> None:
        self._newest[topic] = message

    def _fields(self, topic: str) -> Any:
        with suppress(BusError):
            return decode_foreign(self._newest[topic][HEADER_SIZE:]) if topic in self._newest else None
        return None

    def _channels(self, topic: str) -> list[Channel]:
        with suppress(BusError, msgspec.ValidationError):
            if topic in self._newest:
                sent_ns = unpack(self._newest[topic]).sent_ns
                health = msgspec.convert(self._fields(topic), CanHealth)
                return [Channel(channel, sent_ns) for channel in health.channels]
        return []

    def close(self) -> None:
        for tail in self._tails:
            tail.close()
        self._tails = []


def _link(fields: Any) -> Link | None:
    if not isinstance(fields, dict):
        return None
    up, outages, lost = bool(fields.get("up")), fields.get("outages", 0), fields.get("lost", 0)
    peer, reason = safe_text(str(fields.get("peer", ""))), safe_text(str(fields.get("reason", "")))
    return Link(up, f"to {peer or '?'}  {'up' if up else reason or 'down'}  {outages} outages  {lost} lost")
