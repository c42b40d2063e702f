"""Two looks at the vitals of a run, some time apart: what lies between them is measured without asking anybody."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.cli.topics import chosen, topic_rows
from cardan.runtime.clock import Clock, ns

USUAL_S = 3.0
LONGEST_COUNT_S = 60.0
"""How long `--count` waits for topics that stay silent, unless `--for` says otherwise."""
LOOK_EVERY_S = 0.02
LOOK_S = 0.2


class Limits(NamedTuple):
    """When a measurement ends: after so many seconds, or when each topic has had so many messages (0: no matter)."""

    longest_s: float
    messages: int


class Looks(NamedTuple):
    """The two ends of a measurement."""

    before: Snapshot
    now: Snapshot

    @property
    def span_s(self) -> float:
        return (self.now.taken_ns - self.before.taken_ns) / 1e9


def limits_of(arguments: argparse.Namespace) -> Limits:
    """`--count` and `--for` of a command line; UsageError for what cannot be read."""
    count = parse_count(arguments.count, "--count") if arguments.count else 0
    usual_s = LONGEST_COUNT_S if count else USUAL_S
    return Limits(parse_duration_s(arguments.duration, "--for") if arguments.duration else usual_s, count)


def measure(found: FoundRun, clock: Clock, wanted: list[str], limits: Limits) -> Looks:
    """Look, wait, look again. Ends early when the run does."""

    def enough(looks: Looks) -> bool:
        rows = chosen(topic_rows(found.plan, looks.now, looks.before), wanted)
        return bool(limits.messages) and all(row.published >= limits.messages for row in rows)

    return _watch(found, clock, ns(limits.longest_s), LOOK_EVERY_S if limits.messages else LOOK_S, enough)


def _watch(found: FoundRun, clock: Clock, longest_ns: int, look_s: float, enough: Callable[[Looks], bool]) -> Looks:
    first = found.snapshot(clock)
    looks = Looks(first, first)
    deadline_ns = first.taken_ns + longest_ns
    while looks.now.taken_ns < deadline_ns and not looks.now.ended and not enough(looks):
        clock.sleep_until_ns(min(deadline_ns, clock.now_ns() + ns(look_s)))
        looks = Looks(first, found.snapshot(clock))
    return looks
