"""What a trace is made of: steps of nodes, envelopes of messages and events of the supervisor, out of shared memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from cardan.runtime.bus.envelope import HEADER_SIZE
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.cli.tap import ALL, Heard, Tap, keeps
from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import CardanError
from cardan.runtime.run import RunPaths
from cardan.runtime.step_log import Step
from cardan.runtime.vitals import NodeVitals

LOOK_NS = 100_000_000
"""How often to look while a trace is taken: a ring and a step log hold at least half a second of the fastest node."""
MOST = 1 << 20
"""Messages of one topic that a trace keeps, the newest."""


class Sent(NamedTuple):
    """One message, without what it says."""

    topic: str
    seq: int
    epoch: int
    sent_ns: int
    origin_ns: int
    valid: bool
    size: int
    """Bytes with its envelope."""


class Event(NamedTuple):
    """One line of the supervisor's event log."""

    t_ns: int
    code: str
    level: str
    node: str
    """Empty when it is about the whole run."""
    text: str
    fields: dict[str, Any]


@dataclass
class Collected:
    """Everything that happened between two moments, as far as it was kept. Times are monotonic nanoseconds."""

    begin_ns: int
    end_ns: int
    steps: dict[str, list[Step]] = field(default_factory=dict)
    """By node, oldest first."""
    unfinished: dict[str, int] = field(default_factory=dict)
    """Begin of the step that a node was in at the end."""
    messages: dict[str, list[Sent]] = field(default_factory=dict)
    """By topic, in the order of sending."""
    events: list[Event] = field(default_factory=list)
    """Of the whole run, also before `begin_ns`: a mode that holds began earlier."""
    unheard: list[str] = field(default_factory=list)
    """Topics of which no message could be read."""
    missed: int = 0
    """Messages that were overwritten before they could be read."""


def collect_last(found: FoundRun, clock: Clock, last_s: float) -> Collected:
    """What is kept of the last `last_s` seconds; of a run that has ended, before its end."""
    with _collecting(found, clock, ALL) as collector:
        collector.take_news()
        end_ns = clock.now_ns() if found.live else collector.newest_ns
        return collector.between(min(end_ns, max(end_ns - ns(last_s), collector.oldest_ns)), end_ns)


def collect_next(found: FoundRun, clock: Clock, for_s: float) -> Collected:
    """What happens in the next `for_s` seconds; blocks for so long, or until the run ends."""
    with _collecting(found, clock, 0) as collector:
        begin_ns = clock.now_ns()
        end_ns = begin_ns + ns(for_s)
        while clock.now_ns() < end_ns and found.lives:
            clock.sleep_until_ns(min(end_ns, clock.now_ns() + LOOK_NS))
            collector.take_news()
        return replace(collector.between(begin_ns, clock.now_ns()), missed=collector.missed)


@contextmanager
def _collecting(found: FoundRun, clock: Clock, last: int) -> Iterator[_Collector]:
    taps, unheard = _open_taps(found, clock, last)
    try:
        yield _Collector(found, taps, unheard)
    finally:
        for tap in taps.values():
            tap.close()


def _open_taps(found: FoundRun, clock: Clock, last: int) -> tuple[dict[str, Tap], list[str]]:
    taps: dict[str, Tap] = {}
    unheard = []
    if last and not keeps(found):
        return taps, list(found.plan.topics())
    for topic in found.plan.topics():
        try:
            taps[topic] = Tap(found, topic, clock, last)
        except CardanError:
            unheard.append(topic)
    return taps, unheard


class _Collector:
    """Gathers steps and envelopes over any number of looks."""

    def __init__(self, found: FoundRun, taps: dict[str, Tap], unheard: list[str]) -> None:
        self._found = found
        self._taps = taps
        self._unheard = unheard
        self._steps: dict[str, dict[int, Step]] = {name: {} for name in found.vitals.nodes}
        self._messages: dict[str, list[Sent]] = {topic: [] for topic in taps}

    def take_news(self) -> None:
        """Everything since the last look."""
        for name, node in self._found.vitals.nodes.items():
            self._steps[name].update((step.number, step) for step in node.log.steps())
        for topic, tap in self._taps.items():
            self._messages[topic] += [_sent(topic, heard) for heard in tap.take()]
            del self._messages[topic][:-MOST]

    @property
    def oldest_ns(self) -> int:
        """When the first thing that was kept happened; 0 when nothing was."""
        return min(self._times(), default=0)

    @property
    def newest_ns(self) -> int:
        return max(self._times(), default=0)

    def _times(self) -> list[int]:
        ends = [step for kept in self._steps.values() for step in kept.values()]
        sent = [message.sent_ns for messages in self._messages.values() for message in messages]
        return [time_ns for step in ends for time_ns in (step.start_ns, step.end_ns)] + sent

    @property
    def missed(self) -> int:
        """Messages that were overwritten between two looks."""
        return sum(tap.missed for tap in self._taps.values())

    def between(self, begin_ns: int, end_ns: int) -> Collected:
        """What was gathered, cut to a span."""
        return Collected(
            begin_ns,
            end_ns,
            steps={
                name: [kept[n] for n in sorted(kept) if begin_ns <= kept[n].start_ns and kept[n].end_ns <= end_ns]
                for name, kept in self._steps.items()
            },
            unfinished=self._unfinished(begin_ns, end_ns),
            messages={
                topic: sorted((m for m in sent if begin_ns <= m.sent_ns <= end_ns), key=lambda m: m.sent_ns)
                for topic, sent in self._messages.items()
            },
            events=read_events(RunPaths(Path(self._found.run_id), self._found.data_dir).logs / "supervisor.log"),
            unheard=self._unheard + [topic for topic in self._taps if not self._messages[topic]],
        )

    def _unfinished(self, begin_ns: int, end_ns: int) -> dict[str, int]:
        begun = {}
        for name, node in self._found.vitals.nodes.items():
            start_ns, ended_ns = node.words[NodeVitals.STEP_START_NS], node.words[NodeVitals.STEP_END_NS]
            if ended_ns < start_ns and begin_ns <= start_ns <= end_ns and node.words[NodeVitals.PID]:
                begun[name] = start_ns
        return begun


def _sent(topic: str, heard: Heard) -> Sent:
    header = heard.header
    size = HEADER_SIZE + len(heard.payload)
    return Sent(topic, header.seq, header.epoch, header.sent_ns, header.origin_ns, header.valid, size)


def read_events(path: Path) -> list[Event]:
    """Every line of an event log that can be read, in order; none when there is no file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    events = []
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            fields = json.loads(line)
            if isinstance(fields, dict):
                code, level, node, text = (str(fields.get(name, "")) for name in ("code", "level", "node", "text"))
                events.append(Event(int(fields["t_ns"]), code, level, node, text, fields))
    return events
