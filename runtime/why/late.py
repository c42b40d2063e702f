"""Which node is late, and why: its steps take too long, it is woken too late, or what it reads comes late."""

from __future__ import annotations

from typing import Any

from cardan.runtime.cli.edges import Edge, edges_of
from cardan.runtime.cli.exits import UsageError
from cardan.runtime.cli.settings import all_differences
from cardan.runtime.cli.snapshot import NodeShot
from cardan.runtime.cli.status import at_start
from cardan.runtime.cli.units import ms, plural
from cardan.runtime.errors import near_names
from cardan.runtime.why.answer import Answer
from cardan.runtime.why.evidence import Evidence
from cardan.runtime.why.machine_facts import machine_facts, nodes_before, number

QUESTION = "late"
SHARE = 0.5
"""Of the period: a step that takes more, or a wake-up that comes later than that, is what made the node late."""
LATE_EDGES = 3


def answer(evidence: Evidence, node: str = "") -> Answer:
    """Over the whole run; with --at in the ten seconds around that time, as far as they were sampled."""
    names = [item.name for item in evidence.plan.nodes]
    if node and node not in names:
        raise UsageError(f'no node "{node}"', hint=near_names(node, names))
    if evidence.at_ns is not None:
        return _at(evidence, node, evidence.at_ns)
    ranked = sorted(evidence.shot.nodes, key=_badness, reverse=True)
    if node:
        ranked = [item for item in ranked if item.plan.name == node]
    late = [item for item in ranked if _badness(item)]
    moment_ns = evidence.wall_of(evidence.shot.taken_ns)
    facts, missing = machine_facts(evidence, moment_ns)
    edges = _late_edges(evidence, node)
    if not late:
        verdict = f"{node or 'no node'} was {'not ' if node else ''}late: every step began and ended in its period"
        healthy = not edges
        return Answer(
            question=QUESTION,
            verdict=verdict if healthy else f"no step was late, but what is read was: {_edge_text(edges[0])}",
            healthy=healthy,
            facts=[*(_edge_text(edge) for edge in edges), *(_times(item) for item in ranked[:LATE_EDGES]), *facts],
            missing=missing,
        )
    worst = late[0]
    return Answer(
        question=QUESTION,
        verdict=f"{worst.plan.name}: {_count_text(worst)}; {_why(evidence, worst)}",
        healthy=False,
        hint=_hint(worst),
        facts=[
            *(f"{_times(item)}; {_count_text(item)}" for item in late),
            *(_difference_texts(evidence, worst)),
            *(_edge_text(edge) for edge in edges),
            *_busiest(evidence, moment_ns),
            *facts,
        ],
        missing=missing,
    )


def _badness(node: NodeShot) -> int:
    return node.missed + node.overruns


def _count_text(node: NodeShot) -> str:
    return f"{plural(node.missed, 'cycle')} missed and {plural(node.overruns, 'step')} too long of {node.steps}"


def _period_ns(node: NodeShot) -> float | None:
    return 1e9 / node.plan.rate_hz if node.plan.rate_hz and not node.plan.stepped_by else None


def _times(node: NodeShot) -> str:
    period_ns = _period_ns(node)
    of_period = f" of a period of {ms(period_ns / 1e6)}" if period_ns else ""
    steps = f"steps p99 {ms(node.step_time.at(0.99) / 1e6)}, longest {ms(node.step_time.maximum / 1e6)}{of_period}"
    woken = f"woken late p99 {ms(node.lateness.at(0.99) / 1e6)}, at worst {ms(node.lateness.maximum / 1e6)}"
    return f"{node.plan.name}: {steps}" + (f"; {woken}" if node.lateness.total else "")


def _why(evidence: Evidence, node: NodeShot) -> str:
    """Which of the two was measured: long steps, or late wake-ups."""
    period_ns = _period_ns(node)
    if period_ns is None:
        return f"its longest step took {ms(node.step_time.maximum / 1e6)}"
    long, woken = node.step_time.maximum, node.lateness.maximum
    if long >= SHARE * period_ns and long >= woken:
        return f"a step took {ms(long / 1e6)} of its period of {ms(period_ns / 1e6)}"
    if woken >= SHARE * period_ns:
        missing = ", ".join(_difference_texts(evidence, node))
        reason = f" ({missing})" if missing else ""
        return f"it was woken {ms(woken / 1e6)} late while its steps take {ms(node.step_time.at(0.99) / 1e6)}{reason}"
    return "not recorded: which step it was (neither its longest step nor its latest wake-up explains it)"


def _hint(node: NodeShot) -> str:
    period_ns = _period_ns(node)
    if period_ns is not None and node.lateness.maximum > node.step_time.maximum:
        return "something else had its core: realtime = true and a core group of its own, `cardan doctor machine`"
    return "`cardan trace` shows its steps; `cardan check` what its budget may be"


def _difference_texts(evidence: Evidence, node: NodeShot) -> list[str]:
    return [
        f"{item.node}: {item.setting}: wished {item.wished}, has {item.has}"
        for item in all_differences(evidence.plan, evidence.shot)
        if item.node == node.plan.name
    ]


def _late_edges(evidence: Evidence, node: str) -> list[Edge]:
    """Inputs whose messages were too old when they came, the worst first."""
    edges = edges_of(evidence.plan, evidence.shot, at_start(evidence.shot))
    late = [edge for edge in edges if edge.late and (not node or edge.reader == node)]
    return sorted(late, key=lambda edge: -edge.late)[:LATE_EDGES]


def _edge_text(edge: Edge) -> str:
    limit = f" than {edge.max_age_s:g} s" if edge.max_age_s is not None else ""
    return f"{edge.name}: {plural(edge.late, 'message')} of {edge.delivered} came older{limit}"


def _busiest(evidence: Evidence, moment_ns: int) -> list[str]:
    shares = {
        name: share
        for name, item in nodes_before(evidence, moment_ns).items()
        if (share := number(item, "cpu_percent")) is not None
    }
    if not shares:
        return []
    first = sorted(shares, key=lambda name: -shares[name])[:4]
    return ["processor time: " + ", ".join(f"{name} {shares[name]:.0f} %" for name in first) + " of one core"]


def _at(evidence: Evidence, node: str, at_ns: int) -> Answer:
    nodes = nodes_before(evidence, at_ns)
    facts, missing = machine_facts(evidence, at_ns)
    if not nodes:
        said = "what the nodes did at that time: no sample of them"
        return Answer(
            question=QUESTION,
            verdict=f"not recorded: {said}",
            healthy=False,
            moment_ns=at_ns,
            facts=facts,
            missing=[said, *missing],
            around=evidence.around(at_ns),
        )
    late = {name: item for name, item in nodes.items() if _sampled(item) and (not node or name == node)}
    worst = max(late, key=lambda name: _sampled(late[name]), default="")
    verdict = f"{worst}: {_sample_text(late[worst])}" if worst else f"{node or 'no node'} was late in those ten seconds"
    if not worst and node:
        verdict = f"{node} was not late in those ten seconds"
    return Answer(
        question=QUESTION,
        verdict=verdict,
        healthy=not late,
        moment_ns=at_ns,
        facts=[*(f"{name}: {_sample_text(item)}" for name, item in late.items()), *_busiest(evidence, at_ns), *facts],
        missing=missing,
        around=evidence.around(at_ns),
    )


def _sampled(item: dict[str, Any]) -> float:
    return (number(item, "missed") or 0) + (number(item, "overruns") or 0)


def _sample_text(item: dict[str, Any]) -> str:
    latest, longest = number(item, "latest_ms") or 0.0, number(item, "longest_ms") or 0.0
    counts = f"{number(item, 'missed') or 0:.0f} cycles missed, {number(item, 'overruns') or 0:.0f} steps too long"
    return f"{counts} in 10 s; woken {ms(latest)} late at worst, longest step {ms(longest)}"
