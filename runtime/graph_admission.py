"""Admission of a graph: the declared step budgets must fit on the cores of the profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from cardan.runtime.admission import ROUNDING, Placement, Task, admit
from cardan.runtime.graph_parts import Graph, Part
from cardan.runtime.graph_timing import rate_of
from cardan.runtime.profile import Profile

REMEDY = "lower budgets or rates, or use another core group"


def check_admission(graph: Graph) -> None:
    """Record priorities without meaning, steps that cannot end within their period, and groups with too much to do."""
    for part in graph.parts.values():
        if part.entry.priority is not None and not part.entry.realtime:
            what = "only a real-time node has a priority"
            graph.findings.add((*part.path, "priority"), what, "write realtime = true beside it, or remove it")
    if graph.profile is None or _budgets_are_wrong(graph):
        return
    placements = place(graph, graph.profile)
    groups: dict[str | None, list[int] | Literal["all"]] = {None: "all"}
    groups.update(graph.profile.cores)
    for group, cores in groups.items():
        parts = [part for part in graph.parts.values() if part.entry.core == group]
        if isinstance(cores, str):
            _check_realtime_share(graph, group or "any", parts)
        elif not _check_responses(graph, group or "", parts, placements):
            _check_shares(graph, group or "", parts, len(set(cores)))


def place(graph: Graph, profile: Profile) -> dict[str, Placement]:
    """Core, priority and response time of every real-time node."""
    return admit([_task(graph, part, profile) for part in graph.parts.values()], profile.realtime.priority)


def _task(graph: Graph, part: Part, profile: Profile) -> Task:
    entry, rate_hz = part.entry, rate_of(graph, part)
    cores = profile.cores.get(entry.core, "all") if entry.core is not None else "all"
    port = part.node_class.stepped_by
    source = graph.source_of(part, port) if port is not None else None
    return Task(
        name=part.name,
        group=entry.core,
        cores=() if isinstance(cores, str) else tuple(dict.fromkeys(cores)),
        period_s=1 / rate_hz if rate_hz else None,
        budget_s=None if entry.step_budget_ms is None else entry.step_budget_ms / 1000,
        realtime=entry.realtime,
        priority=entry.priority,
        stepped_by=source.part.name if source is not None else None,
    )


def _budgets_are_wrong(graph: Graph) -> bool:
    return any(graph.findings.touches((*part.path, "step_budget_ms")) for part in graph.parts.values())


def _check_responses(graph: Graph, group: str, parts: Sequence[Part], placements: dict[str, Placement]) -> bool:
    """Blame a node of unknown budget, else the last node of the group that may be late; True when there is one."""
    late = [part for part in parts if part.name in placements and not placements[part.name].fits]
    if not late:
        return False
    part = next((part for part in late if part.entry.step_budget_ms is None), late[-1])
    found = placements[part.name]
    beside = [other.task.name for other in placements.values() if other.place == found.place and other is not found]
    where = f'core {found.core} of "{group}"' + (f", beside {' and '.join(beside)}" if beside else "")
    if part.entry.step_budget_ms is None:
        what, remedy = f"is missing, for a real-time node on {where}", "write the longest that a step may take"
    else:
        period_ms = 1000 * (found.task.period_s or 0.0)
        what, remedy = f"its step may end after its period of {period_ms:g} ms on {where}", REMEDY
    graph.findings.add((*part.path, "step_budget_ms"), what, remedy)
    return True


def _check_shares(graph: Graph, group: str, parts: Sequence[Part], cores: int) -> None:
    """All declared budgets of a group, of real-time nodes and others, must fit on its cores."""
    shares = [_share(graph, part) for part in parts]
    if sum(shares) > cores * (1 + ROUNDING):
        last = next(part for part, share in zip(reversed(parts), reversed(shares), strict=True) if share)
        what = f'with this node the core group "{group}" needs {sum(shares):.2f} of its {cores} cores'
        graph.findings.add((*last.path, "step_budget_ms"), what, REMEDY)


def _check_realtime_share(graph: Graph, group: str, parts: Sequence[Part]) -> None:
    """How many cores "all" means is not known; every computer has one."""
    parts = [part for part in parts if part.entry.realtime and part.entry.step_budget_ms is not None]
    share = sum(_share(graph, part) for part in parts)
    if share > 1 + ROUNDING:
        what = f'with this node the real-time nodes of "{group}" need {share:.2f} cores, and "all" may mean one'
        graph.findings.add((*parts[-1].path, "step_budget_ms"), what, REMEDY)


def _share(graph: Graph, part: Part) -> float:
    """The share of one core that the declared step budget takes; 0 when none is declared."""
    rate_hz, budget_ms = rate_of(graph, part), part.entry.step_budget_ms
    return 0.0 if rate_hz is None or budget_ms is None else budget_ms * rate_hz / 1000
