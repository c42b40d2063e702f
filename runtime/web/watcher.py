"""One run under the page's eyes: what its topics say, read from outside, and its newest document."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bus.envelope import HEADER_SIZE, unpack
from cardan.runtime.bus.ring_ends import ring_path
from cardan.runtime.bus.tail import Tail, open_tail
from cardan.runtime.can_health import CanHealth
from cardan.runtime.cli.foreign import decode_foreign
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.summary import verdict_topic
from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import BusError
from cardan.runtime.log.read import read_log
from cardan.runtime.log.record import SUPERVISOR
from cardan.runtime.vitals import NodeVitals, Vitals
from cardan.runtime.web.document import Channel, Document, channel_topics, document
from cardan.runtime.web.timeline import Timeline

LOOK_BACK = 1 << 20
"""More messages than a ring holds."""
RATES_OVER_NS = ns(0.9)
TOGETHER_NS = ns(0.5)
"""Verdicts that say what was said before are taken so long at a time: often enough for a ring to hold all of them."""


class Said(msgspec.Struct, frozen=True):
    """What is taken of each of the bridge's verdicts, of which a hundred come in a second."""

    engagement: str = ""
    cause: str = ""


SAID = msgspec.msgpack.Decoder(Said)


class Watcher:
    """Belongs to one thread; `close()` it."""

    def __init__(self, found: FoundRun, clock: Clock) -> None:
        self.found = found
        self._clock = clock
        self._verdict = verdict_topic(found.plan)
        self._timeline = Timeline(found.vitals.words[Vitals.STARTED_NS])
        self._read_log()
        self._shots: list[Snapshot] = []
        self._channels: dict[str, tuple[int, CanHealth]] = {}
        self._health_topics = set(channel_topics(found.plan))
        self._nodes = [node.words.cells for node in found.vitals.nodes.values()]
        self._drained_ns = 0
        self._tails: list[Tail] = []
        self._open_tails()

    def _read_log(self) -> None:
        """It tells what was before the watching began, and before the oldest message that a ring still has."""
        if self.found.run_id:
            self._timeline.take_log(read_log(self.found.logs, {SUPERVISOR, self._verdict.partition("/")[0]}))

    def _open_tails(self) -> None:
        """Rings tell also what was said before; those of a dead run may not have been kept."""
        verdicts = [(self._verdict, LOOK_BACK)] if self._verdict else []
        wanted = [*((topic, 1) for topic in self._health_topics), *verdicts]
        for topic, last in wanted:
            folder = bus_folder(self.found, topic)
            if folder is not None:
                with suppress(BusError):
                    self._tails.append(open_tail(self.found.plan, folder, [topic], self._clock, last))

    def listen(self) -> None:
        """Take what has come, if it is news, or much of it. Never blocks."""
        now_ns = self._clock.now_ns()
        if now_ns - self._drained_ns >= TOGETHER_NS or self._is_news():
            self._drain(now_ns)

    def _is_news(self) -> bool:
        """The newest verdict is not as the one before; True also where that cannot be known."""
        said: list[Said] = []

        def look(topic: str, message: bytes) -> None:
            with suppress(BusError, msgspec.ValidationError):
                if topic not in self._health_topics:
                    said.append(SAID.decode(message[HEADER_SIZE:]))

        known = all(tail.peek(look) for tail in self._tails)
        before = self._timeline.engagement, self._timeline.cause
        return not known or any((item.engagement, item.cause) != before for item in said)

    def _drain(self, now_ns: int) -> None:
        self._drained_ns = now_ns
        for tail in self._tails:
            tail.drain(self._take)

    @property
    def state(self) -> tuple[Any, ...]:
        """What a person must see at once when it changes; cheap to ask for."""
        run = self.found.vitals.words.cells
        nodes = [
            (cells[NodeVitals.STATE], cells[NodeVitals.STARTS], cells[NodeVitals.FAULT_NS]) for cells in self._nodes
        ]
        said = len(self._timeline.drove), self._timeline.engagement
        return run[Vitals.RUN_STATE], run[Vitals.CAUSE_NS], run[Vitals.MODE_NS], nodes, said

    def document(self, viewers_dropped: int = 0) -> Document:
        """The run now. RunError when its vitals are damaged."""
        self._drain(self._clock.now_ns())
        now = self.found.snapshot(self._clock)
        self._timeline.take_snapshot(now)
        before = self._before(now)
        return document(
            self.found.plan,
            now,
            before,
            self._timeline,
            run=self.found.run_id,
            live=self.found.live,
            trouble=self.found.trouble(now),
            can=self._can(now),
            viewers_dropped=viewers_dropped,
        )

    def _before(self, now: Snapshot) -> Snapshot:
        """A snapshot about a second old, so that rates are of this moment; else the start of the run."""
        if not self.found.live:
            return at_start(now)
        old = [shot for shot in self._shots if now.taken_ns - shot.taken_ns >= RATES_OVER_NS]
        before = old[-1] if old else at_start(now)
        self._shots = [*old[-1:], *(shot for shot in self._shots if shot not in old), now][-64:]
        return before

    def _can(self, now: Snapshot) -> list[Channel]:
        return [
            Channel(reader=reader, health=health, age_s=round(max(0, now.taken_ns - sent_ns) / 1e9, 3))
            for reader, (sent_ns, message) in self._channels.items()
            for health in message.channels
        ]

    def _take(self, topic: str, message: bytes) -> None:
        """A message that cannot be read is nothing that a page can help: others follow."""
        with suppress(BusError, msgspec.ValidationError):
            header, payload = unpack(message), message[HEADER_SIZE:]
            if topic in self._health_topics:
                health = msgspec.convert(decode_foreign(payload), CanHealth)
                self._channels[topic.split("/", maxsplit=1)[0]] = header.sent_ns, health
            else:
                self._timeline.take_verdict(header.sent_ns, msgspec.structs.asdict(SAID.decode(payload)))

    def close(self) -> None:
        for tail in self._tails:
            tail.close()
        self._tails = []


def bus_folder(found: FoundRun, topic: str) -> Path | None:
    """Where a topic can be heard; None when the run has ended and nothing of it was kept."""
    if found.bus_dir is not None:
        return found.bus_dir
    kept = found.kept_bus_dir
    return kept if found.plan.bus == "ring" and ring_path(kept, topic).exists() else None


Find = Callable[[], FoundRun]
"""Finds the run to be shown; NoDataError or RunError when there is none."""
