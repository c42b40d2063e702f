"""Time in a graph: how often each node steps, how old its inputs may be, and what its steps may cost."""

from __future__ import annotations

from cardan.runtime.graph_parts import Graph, Part
from cardan.runtime.plan import ANY_INPUT

ROUNDING = 1e-9
"""Two rates or times that differ by less, relatively, are meant to be equal."""
SHORTEST_HANG_MS = 100.0
"""Twice the time between two looks of the supervisor."""


def check_timing(graph: Graph) -> None:
    """Record rates above their source, age limits below their source's period, and steps that cannot fit."""
    for part in graph.parts.values():
        _check_stepping(graph, part)
    for part in graph.parts.values():
        _check_ages(graph, part)
        _check_budget(graph, part)
        _check_hang_limit(graph, part)
        _check_weight(graph, part)


def rate_of(graph: Graph, part: Part) -> float | None:
    """Steps a second: the node's own rate, or that of whatever steps it. None when a finding hides it."""
    origin = origin_of(graph, part)
    return None if origin is None else origin.own_rate_hz


def origin_of(graph: Graph, part: Part) -> Part | None:
    """The node whose own rate steps this node, directly or through others; None when a finding hides it."""
    seen: set[str] = set()
    at: Part | None = part
    while at is not None and at.name not in seen:
        seen.add(at.name)
        port = at.node_class.stepped_by
        source = graph.source_of(at, port) if port is not None else None
        if port is None or port == ANY_INPUT or (source is None and not _is_broken(graph, at, port)):
            return at
        at = source.part if source is not None else None
    return None


def _is_broken(graph: Graph, part: Part, port: str) -> bool:
    """True when the input that should step a node has findings of its own."""
    return port in part.entry.inputs or port not in part.ports.inputs or not part.ports.inputs[port].optional


def _check_stepping(graph: Graph, part: Part) -> None:
    port = part.node_class.stepped_by
    name = part.node_class.__name__
    if port == ANY_INPUT:
        return
    if port is not None and port not in part.ports.inputs:
        graph.findings.add((*part.path, "use"), f'{name} is stepped by "{port}"', "make that one of its inputs")
    elif port is not None and part.ports.inputs[port].many:
        graph.findings.add((*part.path, "use"), f'{name} is stepped by "{port}", which reads many', "step it by a rate")
    elif port is not None and _steps_in_a_circle(graph, part):
        what = "is stepped by a node that it steps itself, so neither ever starts"
        graph.findings.add((*part.path, "inputs", port), what, "give one node of the circle a rate of its own")
    elif rate_of(graph, part) is None and (port is None or not _is_broken(graph, part, port)):
        what = f"is missing, and {name} has no rate of its own"
        graph.findings.add((*part.path, "rate_hz"), what, "write rate_hz = 10.0")
    elif port is not None:
        _check_rate_above_source(graph, part, port)


def _steps_in_a_circle(graph: Graph, part: Part) -> bool:
    """True for the first part, in manifest order, of a circle of `stepped_by`."""
    circle: list[str] = []
    at: Part | None = part
    while at is not None and at.name not in circle:
        circle.append(at.name)
        port = at.node_class.stepped_by
        source = graph.source_of(at, port) if port is not None else None
        at = source.part if source is not None else None
    return at is part and part.name == next(name for name in graph.parts if name in circle)


def _check_rate_above_source(graph: Graph, part: Part, port: str) -> None:
    source = graph.source_of(part, port)
    origin = origin_of(graph, source.part) if source is not None else None
    rate = origin.own_rate_hz if origin is not None else None
    if source is None or origin is None or rate is None or (part.own_rate_hz or 0.0) <= rate * (1 + ROUNDING):
        return
    what = f'{part.own_rate_hz:g} Hz is above its source: "{source.name}" comes at {rate:g} Hz'
    graph.findings.add((*part.path, "rate_hz"), what, f"write at most {rate:g}, or raise the rate of {origin.name}")


def _check_ages(graph: Graph, part: Part) -> None:
    for port, spec in part.ports.inputs.items():
        source = graph.source_of(part, port)
        origin = origin_of(graph, source.part) if source is not None else None
        rate = origin.own_rate_hz if origin is not None else None
        if source is None or origin is None or rate is None or spec.max_age_s is None:
            continue
        if spec.max_age_s * rate < 1 - ROUNDING:
            what = f"an age limit of {spec.max_age_s:g} s is below the period of its source"
            what += f': "{source.name}" comes every {1 / rate:g} s'
            remedy = f"raise the rate of {origin.name} to {1 / spec.max_age_s:g} Hz, or the age limit in {part.use}"
            graph.findings.add(part.place_of(port), what, remedy)


def _check_budget(graph: Graph, part: Part) -> None:
    rate, budget_ms = rate_of(graph, part), part.entry.step_budget_ms
    if rate is not None and budget_ms is not None and budget_ms * rate > 1000 * (1 + ROUNDING):
        what = f"{budget_ms:g} ms do not fit into the period of {1000 / rate:g} ms"
        graph.findings.add((*part.path, "step_budget_ms"), what, f"write at most {1000 / rate:g}, or lower the rate")


def _check_hang_limit(graph: Graph, part: Part) -> None:
    rate, limit_ms = rate_of(graph, part), part.entry.hang_limit_ms
    period_ms = 1000 / rate if rate is not None else 0.0
    shortest_ms = max(SHORTEST_HANG_MS, 2 * period_ms)
    if limit_ms is not None and limit_ms < shortest_ms * (1 - ROUNDING):
        what = f"{limit_ms:g} ms is too short to tell a hang"
        why = f" at {rate:g} Hz" if rate is not None and shortest_ms > SHORTEST_HANG_MS else ""
        graph.findings.add((*part.path, "hang_limit_ms"), what, f"write at least {shortest_ms:g}{why}")


def _check_weight(graph: Graph, part: Part) -> None:
    if part.entry.realtime and part.entry.cpu_weight is not None:
        what = "a real-time node has no weight: it runs before all that have one"
        graph.findings.add((*part.path, "cpu_weight"), what, "remove it, or realtime")
    if part.entry.realtime and part.entry.nice is not None:
        what = "a real-time node is not nice: it runs before all that are"
        graph.findings.add((*part.path, "nice"), what, "remove it, or realtime")
