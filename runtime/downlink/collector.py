"""A campaign at work: which samples of which topics are kept, before and after its condition fires."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.clock import ns
from cardan.runtime.conditions.evaluate import Evaluator
from cardan.runtime.conditions.parse import condition_of
from cardan.runtime.downlink.documents import Campaign, Collect
from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.messages import CameraFrame, Message
from cardan.runtime.outbox.telemetry import Thinning

MOST_HELD = 20_000
"""Samples that wait for their condition, of one `collect`."""


class Chosen(NamedTuple):
    """A sample that is to be kept."""

    sample: Sample[Any]
    keep_as: str


class Collector:
    """One `collect` of a campaign. ConfigError when the vehicle has no such topics, or the condition does not fit."""

    def __init__(self, collect: Collect, types: Mapping[str, type[Message]]) -> None:
        for topic in collect.topics:
            if topic not in types:
                raise ConfigError(f'there is no topic "{topic}" for campaigns', hint=near_names(topic, list(types)))
            if issubclass(types[topic], CameraFrame):
                raise ConfigError(f'"{topic}" has pictures, and campaigns collect none', hint="take it out")
        self._collect = collect
        self._topics = frozenset(collect.topics)
        self._thinning = Thinning({}, collect.rate_hz)
        self._evaluator = Evaluator(condition_of(collect.when), types) if collect.when else None
        self.reads = self._topics | (self._evaluator.topics if self._evaluator is not None else frozenset())
        """Topics that it needs to see."""
        self._held: deque[Sample[Any]] = deque()
        self._until_ns: int | None = None
        self.fired = 0
        """How often the condition has fired."""
        self.dropped = 0
        """Samples from before the condition for which there was no room."""

    def take(self, sample: Sample[Any]) -> list[Chosen]:
        """Look at one sample of any topic; what is to be kept, in order."""
        wanted = sample.topic in self._topics and self._thinning.keeps(sample.topic, sample.sent_ns)
        if self._evaluator is None:
            return self._choose([sample]) if wanted else []
        outcome = self._evaluator.update(sample.topic, sample.sent_ns, sample.value, valid=sample.valid)
        chosen = self._fire(sample.sent_ns) if outcome.fired else []
        if not wanted:
            return chosen
        if self._until_ns is not None and sample.sent_ns <= self._until_ns:
            return chosen + self._choose([sample])
        self._hold(sample)
        return chosen

    def tick(self, now_ns: int) -> list[Chosen]:
        """Let time pass: a condition may fire without a message."""
        if self._evaluator is None or not self._evaluator.tick(now_ns).fired:
            return []
        return self._fire(now_ns)

    def _fire(self, at_ns: int) -> list[Chosen]:
        self.fired += 1
        self._until_ns = at_ns + ns(self._collect.after_s)
        earliest_ns = at_ns - ns(self._collect.before_s)
        before = [sample for sample in self._held if sample.sent_ns >= earliest_ns]
        self._held.clear()
        return self._choose(before)

    def _hold(self, sample: Sample[Any]) -> None:
        before_ns = ns(self._collect.before_s)
        if not before_ns:
            return
        self._held.append(sample)
        while self._held and self._held[0].sent_ns < sample.sent_ns - before_ns:
            self._held.popleft()
        if len(self._held) > MOST_HELD:
            self._held.popleft()
            self.dropped += 1

    def _choose(self, samples: list[Sample[Any]]) -> list[Chosen]:
        return [Chosen(sample, self._collect.keep_as) for sample in samples]


def collectors_of(campaign: Campaign, types: Mapping[str, type[Message]]) -> list[Collector]:
    """The collectors of a campaign; ConfigError when one cannot be, so that a campaign is taken whole or not at all."""
    return [Collector(collect, types) for collect in campaign.collect]
