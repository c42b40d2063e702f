"""Silences: topics that stopped coming for a while before a moment, as their kept messages show."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from cardan.runtime.cli.moments import clock_text
from cardan.runtime.clock import ns
from cardan.runtime.why.answer import Fact
from cardan.runtime.why.evidence import Evidence
from cardan.runtime.why.messages import Kept, kept_between

CODE = "topic-silent"
BEFORE_NS = ns(3.0)
TIMES = 2.5
"""A pause is a silence when it is so many times longer than usual."""
LEAST_NS = ns(0.03)
FEWEST = 5


def silences(evidence: Evidence, nodes: list[str], moment_ns: int) -> list[Fact]:
    """The last silence of each topic of these nodes that began in the three seconds before a moment (wall time)."""
    topics = [output.topic for node in evidence.plan.nodes if node.name in nodes for output in node.outputs]
    kept = kept_between(evidence, topics, moment_ns - BEFORE_NS, moment_ns)
    found = [fact for topic, rows in kept.items() if (fact := _silence(topic, rows, moment_ns)) is not None]
    return sorted(found, key=lambda fact: fact.wall_ns)


def _silence(topic: str, rows: list[Kept], moment_ns: int) -> Fact | None:
    """The longest pause, if it reaches to the moment or ended shortly before."""
    times = [row.wall_ns for row in rows]
    if len(times) < FEWEST:
        return None
    gaps = [(after - before, before) for before, after in pairwise([*times, moment_ns])]
    usual_ns = median(gap for gap, _ in gaps)
    long = [(gap, begin) for gap, begin in gaps if gap > max(LEAST_NS, TIMES * usual_ns)]
    if not long:
        return None
    gap_ns, begin_ns = long[-1]
    text = (
        f"no message for {gap_ns / 1e6:.0f} ms from {clock_text(begin_ns)} on (usually every {usual_ns / 1e6:.0f} ms)"
    )
    return Fact(
        wall_ns=begin_ns,
        after_s=round((begin_ns - moment_ns) / 1e9, 3),
        who=topic.partition("/")[0],
        code=CODE,
        text=f"{topic}: {text}",
        level="warning",
    )
