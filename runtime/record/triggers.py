"""Triggers: conditions that keep what was before and what comes after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.clock import ns
from cardan.runtime.conditions.evaluate import Evaluator
from cardan.runtime.conditions.kinds import Types
from cardan.runtime.conditions.parse import condition_of

SPANS_S = {"event": (25.0, 10.0), "crash": (60.0, 30.0)}
"""Kind -> seconds before and after, as Apollo's smart recorder has them (emergency; bumper crash)."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=300)]


class TriggerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `triggers.NAME` table of the recorder's settings."""

    when: Annotated[str, msgspec.Meta(min_length=1)]
    """A condition (docs/conditions.md)."""
    kind: Literal["event", "crash"] = "event"
    """Clips of a crash are the last that the quota takes, and are longer."""
    before_s: Seconds | None = None
    """None: 25 s, of a crash 60 s."""
    after_s: Seconds | None = None
    """None: 10 s, of a crash 30 s."""

    @property
    def span_before_s(self) -> float:
        return SPANS_S[self.kind][0] if self.before_s is None else self.before_s

    @property
    def span_after_s(self) -> float:
        return SPANS_S[self.kind][1] if self.after_s is None else self.after_s


class Roll(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger has fired: what is to be kept."""

    name: str
    kind: str
    when: str
    at_ns: int
    from_ns: int
    to_ns: int
    """Monotonic time of sending."""


class Triggers:
    """Every trigger of a recorder. ConditionError when one does not fit `types`."""

    def __init__(self, configs: Mapping[str, TriggerConfig], types: Types) -> None:
        self._configs = configs
        self._evaluators = {name: Evaluator(condition_of(item.when), types) for name, item in configs.items()}
        self._by_topic: dict[str, list[str]] = {}
        for name, evaluator in self._evaluators.items():
            for topic in evaluator.topics:
                self._by_topic.setdefault(topic, []).append(name)

    @property
    def longest_before_ns(self) -> int:
        """How far back the past must be kept; 0 without triggers."""
        return max((ns(item.span_before_s) for item in self._configs.values()), default=0)

    def look(self, sample: Sample[Any]) -> list[Roll]:
        """The triggers that fire with this message."""
        fired = []
        for name in self._by_topic.get(sample.topic, ()):
            evaluator = self._evaluators[name]
            if evaluator.update(sample.topic, sample.sent_ns, sample.value, valid=sample.valid).fired:
                fired.append(self._roll(name, sample.sent_ns))
        return fired

    def tick(self, now_ns: int) -> list[Roll]:
        """The triggers that fire since time has passed."""
        return [self._roll(name, now_ns) for name, item in self._evaluators.items() if item.tick(now_ns).fired]

    def _roll(self, name: str, at_ns: int) -> Roll:
        config = self._configs[name]
        return Roll(
            name=name,
            kind=config.kind,
            when=config.when,
            at_ns=at_ns,
            from_ns=at_ns - ns(config.span_before_s),
            to_ns=at_ns + ns(config.span_after_s),
        )
