"""What a campaign would have collected, had it been there while a recording was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.downlink.collector import Collector, collectors_of
from cardan.runtime.downlink.documents import Campaign
from cardan.runtime.errors import RunError
from cardan.runtime.messages import Message
from cardan.runtime.outbox.telemetry import TelemetryEncoder
from cardan.runtime.plan import Plan
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages
from cardan.runtime.record.read_back import ReadBack
from cardan.runtime.record.review import types_of


class Tried(msgspec.Struct, kw_only=True):
    """One `collect` of the campaign."""

    topics: list[str]
    when: str
    fired: int = 0
    """How often the condition has fired; 0 without one."""
    records: int = 0
    bytes: int = 0
    """As the outbox takes them, before compression."""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """The whole campaign."""

    collects: list[Tried]
    duration_s: float
    """Of the recording, as far as the campaign's topics go."""
    unreadable: int
    """Messages that could not be read back."""

    @property
    def bytes(self) -> int:
        return sum(tried.bytes for tried in self.collects)

    @property
    def records(self) -> int:
        return sum(tried.records for tried in self.collects)


def dry_run(campaign: Campaign, plan: Plan, paths: Sequence[Path]) -> DryRun:
    """Try a campaign on the files of one recording; ConfigError when it does not fit the vehicle of the plan."""
    types = types_of(plan, plan.topics())
    collectors = collectors_of(campaign, types)
    tried = [Tried(topics=item.topics, when=item.when) for item in campaign.collect]
    read = _Reading(types, _wanted(collectors, campaign))
    first_ns = last_ns = 0
    encoder = TelemetryEncoder()
    for sample in read.samples(paths):
        first_ns, last_ns = first_ns or sample.sent_ns, sample.sent_ns
        for collector, row in zip(collectors, tried, strict=True):
            for chosen in collector.take(sample):
                row.records += 1
                row.bytes += len(encoder.encode(chosen.sample))
            row.fired = collector.fired
    return DryRun(collects=tried, duration_s=(last_ns - first_ns) / NS_PER_S, unreadable=read.unreadable)


def _wanted(collectors: list[Collector], campaign: Campaign) -> set[str]:
    topics = {topic for item in campaign.collect for topic in item.topics}
    return topics.union(*(collector.reads for collector in collectors)) if collectors else topics


class _Reading:
    """Samples of some topics, in the order of sending."""

    def __init__(self, types: dict[str, type[Message]], wanted: set[str]) -> None:
        self._readers: dict[str, ReadBack[Any]] = {topic: ReadBack(types[topic]) for topic in wanted}
        self.unreadable = 0

    def samples(self, paths: Sequence[Path]) -> Iterator[Sample[Any]]:
        found = [message for path in paths for message in read_messages(path) if message.topic in self._readers]
        for message in sorted(found, key=lambda item: item.sent_ns):
            sample = self._read_or_none(message)
            if sample is not None:
                yield sample

    def _read_or_none(self, message: RecordedMessage) -> Sample[Any] | None:
        try:
            return self._readers[message.topic].read(message)
        except RunError:
            self.unreadable += 1
            return None
