"""What the nodes did between two looks at the vitals: cycles late and missed, losses, processor time."""

from __future__ import annotations

from typing import Any

from cardan.runtime.cli.snapshot import NodeShot, Snapshot
from cardan.runtime.vitals import SeriesKind


def changes(now: Snapshot, before: Snapshot) -> dict[str, dict[str, Any]]:
    """Node -> what grew: overruns, missed, lost, late_inputs, crashes, hangs; and processor time in % of a core.

    Nodes of which nothing grew are left out, unless processor time is known.
    """
    seconds = max(1e-3, (now.taken_ns - before.taken_ns) / 1e9)
    old = {node.plan.name: node for node in before.nodes}
    found = {node.plan.name: _change(node, old[node.plan.name], seconds) for node in now.nodes}
    return {name: change for name, change in found.items() if change}


def _change(now: NodeShot, before: NodeShot, seconds: float) -> dict[str, Any]:
    grown = {
        "overruns": now.overruns - before.overruns,
        "missed": now.missed - before.missed,
        "crashes": now.crashes - before.crashes,
        "hangs": now.hangs - before.hangs,
        "lost": _lost(now) - _lost(before),
        "late_inputs": _late(now) - _late(before),
    }
    change: dict[str, Any] = {name: value for name, value in grown.items() if value > 0}
    if change:
        late, steps = now.lateness.since(before.lateness), now.step_time.since(before.step_time)
        change["latest_ms"], change["longest_ms"] = round(late.maximum / 1e6, 3), round(steps.maximum / 1e6, 3)
    cpu_us = now.group.cpu_us - before.group.cpu_us
    if now.group.exists and cpu_us > 0:
        change["cpu_percent"] = round(cpu_us / 1e4 / seconds, 1)
    return change


def _late(node: NodeShot) -> int:
    return sum(series.late for series in node.of_kind(SeriesKind.INPUT))


def _lost(node: NodeShot) -> int:
    return sum(series.lost + series.dropped + series.torn for series in node.of_kind(SeriesKind.INPUT))
