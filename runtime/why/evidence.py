"""Everything that was kept of a run, loaded once: what an answer may stand on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.clock import Clock, ns
from cardan.runtime.log.read import read_log
from cardan.runtime.log.record import LogRecord
from cardan.runtime.plan import Plan
from cardan.runtime.why.answer import Fact, fact_of

AROUND_NS = ns(5.0)


@dataclass(frozen=True)
class Evidence:
    """One run. at_ns: the wall time that was asked for; None: the last time that it happened."""

    found: FoundRun
    shot: Snapshot
    at_ns: int | None
    now_wall_ns: int
    """Wall time now; of a bundle, when it was made."""

    @property
    def plan(self) -> Plan:
        return self.found.plan

    @cached_property
    def records(self) -> list[LogRecord]:
        """The whole log of the run, in order."""
        if not self.found.run_id:
            return []
        return read_log(self.found.logs)

    def between(self, begin_ns: int, end_ns: int) -> list[LogRecord]:
        """The records of a span of wall time."""
        return [record for record in self.records if begin_ns <= record.wall_ns <= end_ns]

    def around(self, moment_ns: int) -> list[Fact]:
        """Everything in the log within five seconds, samples left out."""
        records = self.between(moment_ns - AROUND_NS, moment_ns + AROUND_NS)
        return [fact_of(record, moment_ns) for record in records if record.level != "debug"]

    def of_codes(self, *codes: str) -> list[LogRecord]:
        return [record for record in self.records if record.code in codes]

    def nearest(self, moments_ns: Iterable[int]) -> int | None:
        """Which of these wall times is meant: the nearest to --at, else the last; None when there is none."""
        known = list(moments_ns)
        if not known:
            return None
        if self.at_ns is None:
            return max(known)
        at_ns = self.at_ns
        return min(known, key=lambda moment_ns: abs(moment_ns - at_ns))

    def wall_of(self, t_ns: int) -> int:
        """Wall time of a monotonic stamp of this run, as its clock was when it began."""
        return self.shot.started_wall_ns + t_ns - self.shot.started_ns


def evidence_of(found: FoundRun, at_ns: int | None, clock: Clock) -> Evidence:
    """Load what is needed by every answer. RunError when the vitals are damaged."""
    now_wall_ns = found.bundle.made_wall_ns if found.bundle else clock.wall_ns()
    return Evidence(found, found.snapshot(clock), at_ns, now_wall_ns)


def onset_ns(record: LogRecord) -> int:
    """When what a record tells of began (wall time): a node that hung was silent before that was seen."""
    silent_ms, limit_s = record.fields.get("silent_ms"), record.fields.get("limit_s")
    if record.code == "node-hung" and isinstance(silent_ms, (int, float)):
        return record.wall_ns - round(silent_ms * 1e6)
    if record.code == "node-late" and isinstance(limit_s, (int, float)):
        return record.wall_ns - round(limit_s * 1e9)
    return record.wall_ns


def upstream(plan: Plan, topics: Collection[str], without: str = "") -> list[str]:
    """The nodes on which these topics depend, the nearest first. without: a node that is not followed any further."""
    found: list[str] = []
    waiting = list(topics)
    while waiting:
        name = waiting.pop(0).partition("/")[0]
        if name in found or name == without:
            continue
        found.append(name)
        node = next((node for node in plan.nodes if node.name == name), None)
        if node is not None:
            waiting += [topic for port in node.inputs if not port.many for topic in port.topics]
    return found
