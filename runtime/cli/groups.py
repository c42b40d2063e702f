"""Control groups in the status: where they are or why there are none, and what each node has taken."""

from __future__ import annotations

import msgspec

from cardan.runtime.cli.lines import Line, safe_text
from cardan.runtime.cli.snapshot import NodeShot, Snapshot


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What a node and all that it started have taken in this run, restarts included."""

    cpu_s: float
    memory_peak_mib: float | None
    """None where memory is not counted."""
    memory_max_mib: float | None
    """The limit that holds; None: no limit."""


def taken(shot: Snapshot) -> dict[str, Taken]:
    """Of every node that has a control group."""
    return {node.plan.name: _taken(node) for node in shot.nodes if node.group.exists}


def _taken(node: NodeShot) -> Taken:
    group = node.group
    return Taken(
        cpu_s=round(group.cpu_us / 1e6, 3),
        memory_peak_mib=round(group.memory_peak_kib / 1024, 1) if group.memory_peak_kib else None,
        memory_max_mib=round(group.memory_max_kib / 1024, 1) if group.memory_max_kib else None,
    )


def group_lines(shot: Snapshot) -> list[Line]:
    """One line for the run, and one for each node with a limit of memory."""
    if not shot.groups_text:
        return []
    limited = [
        Line(f"  {name}: at most {item.memory_peak_mib or 0:g} of {item.memory_max_mib:g} MiB", "faint")
        for name, item in taken(shot).items()
        if item.memory_max_mib is not None
    ]
    return [Line(""), Line(f"control groups: {safe_text(shot.groups_text)}", "faint"), *limited]
