"""Why it took so long until the vehicle was ready: every stage with its time, from the event log."""

from __future__ import annotations

from typing import NamedTuple

from cardan.runtime.cli.control_causes import CONTROLLED
from cardan.runtime.log.record import LogRecord
from cardan.runtime.why.answer import Answer, Fact, fact_of
from cardan.runtime.why.evidence import Evidence

QUESTION = "boot"
LONG_S = 3.0
"""The first control frame should leave within so long of the start."""
CODES = (
    "run-starting",
    "node-start",
    "node-ready",
    "node-restart",
    "node-late",
    "node-crash",
    "run-began",
    "engine-serves",
)


class Opened(NamedTuple):
    """How long one node took to open what it needs."""

    node: str
    seconds: float
    ready: LogRecord


def answer(evidence: Evidence) -> Answer:
    """From the start of the run to the moment in which everything was let go, and to the first engagement."""
    started_ns = evidence.shot.started_wall_ns
    began = next(iter(evidence.of_codes("run-began")), None)
    opened = sorted(_opened(evidence.records), key=lambda item: -item.seconds)
    stages = [record for record in evidence.records if record.code in CODES]
    up_s = evidence.shot.started_ns / 1e9
    facts = [
        f"the kernel had been running for {up_s:.1f} s when the run began",
        *_loading(evidence),
        *(f"{item.node} opened in {item.seconds:.3f} s" for item in opened[:5]),
        *_engaged(evidence),
    ]
    if began is None:
        waiting = [node.plan.name for node in evidence.shot.nodes if not node.ready_ns]
        verdict = "it is not up yet, or never was: " + (", ".join(waiting) or "nothing") + " not ready"
        return Answer(question=QUESTION, verdict=verdict, healthy=False, facts=facts, chain=_facts(stages, started_ns))
    took_s = (began.wall_ns - started_ns) / 1e9
    last = max(opened, key=lambda item: item.ready.t_ns, default=None)
    slowest = f"; the last to be ready was {last.node}, which took {last.seconds:.2f} s" if last else ""
    return Answer(
        question=QUESTION,
        verdict=f"all nodes were let go {took_s:.2f} s after the start of the run{slowest}",
        healthy=took_s <= LONG_S,
        moment_ns=started_ns,
        hint="" if took_s <= LONG_S or last is None else f"what does it open? `cardan log --node {last.node}`",
        facts=facts,
        missing=["what the computer did before the run: `systemd-analyze critical-chain`"],
        chain=_facts([record for record in stages if record.t_ns <= began.t_ns], started_ns),
    )


def _opened(records: list[LogRecord]) -> list[Opened]:
    """The first start of each node."""
    found: dict[str, Opened] = {}
    for record in records:
        after_ms = record.fields.get("after_ms")
        if record.code == "node-ready" and record.node not in found and isinstance(after_ms, (int, float)):
            found[record.node] = Opened(record.node, after_ms / 1e3, record)
    return list(found.values())


def _loading(evidence: Evidence) -> list[str]:
    loaded = next(iter(evidence.of_codes("run-starting")), None)
    loaded_ms = loaded.fields.get("loaded_ms") if loaded is not None else None
    return (
        [f"the code of the nodes was loaded in {loaded_ms / 1e3:.3f} s"] if isinstance(loaded_ms, (int, float)) else []
    )


def _engaged(evidence: Evidence) -> list[str]:
    first = next((r for r in evidence.of_codes("engagement") if r.fields.get("after") in CONTROLLED), None)
    if first is None:
        return ["it was not engaged in this run"]
    return [f"it was first engaged {(first.wall_ns - evidence.shot.started_wall_ns) / 1e9:.2f} s after the start"]


def _facts(records: list[LogRecord], started_ns: int) -> list[Fact]:
    return [fact_of(record, started_ns) for record in records]
