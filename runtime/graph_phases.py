"""When within their common period real-time nodes step that hand data to each other: each one behind those it reads
from.

Without this, two nodes of the same rate step at whatever moment they were started, and what the first one decides may
wait for nearly a whole period before the second one looks. On a common grid the second one steps when the first must
be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LATEST_SHARE = 0.8
"""A node steps no later than this share of the period behind the grid; what it reads is then of the period before."""


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """One node as far as its phase is concerned."""

    name: str
    period_s: float | None
    """None: it is not stepped by time."""
    budget_s: float | None
    realtime: bool
    reads: frozenset[str]
    """Names of the nodes that it reads from."""


def phases(nodes: Sequence[Stepped]) -> dict[str, float]:
    """Seconds behind the grid of its period, for each real-time node that shares its period with one that it is wired
    to.

    nodes: in start order. In a circle the first one leads. Nodes that are not in the result step when they happen to.
    """
    found: dict[str, float] = {}
    for place, node in enumerate(nodes):
        before = [other for other in nodes[:place] if other.name in node.reads and _go_together(other, node)]
        behind = any(node.name in other.reads and _go_together(node, other) for other in nodes[place + 1 :])
        if not before and not behind:
            continue
        wanted_s = max((found[other.name] + (other.budget_s or 0.0) for other in before), default=0.0)
        found[node.name] = wanted_s if wanted_s <= LATEST_SHARE * (node.period_s or 0.0) else 0.0
    return found


def _go_together(first: Stepped, second: Stepped) -> bool:
    return first.realtime and second.realtime and first.period_s is not None and first.period_s == second.period_s
