"""The settings of the nodes' processes that are not as wished, for a person: one line for each setting."""

from __future__ import annotations

from cardan.runtime.cli.lines import Line
from cardan.runtime.cli.snapshot import Snapshot
from cardan.runtime.plan import Plan
from cardan.runtime.wishes import Difference, differences, latency_difference


def all_differences(plan: Plan, shot: Snapshot) -> list[Difference]:
    """Of the whole run, then of every node that has begun to step, in plan order."""
    realtime = plan.profile.realtime
    return [
        *latency_difference(realtime, shot.wakeup_latency_us),
        *(
            found
            for node in shot.nodes
            if node.settings is not None
            for found in differences(node.plan, realtime, node.settings, node.group)
        ),
    ]


def setting_lines(found: list[Difference]) -> list[Line]:
    """Nodes with the same difference share a line. What the profile demands is bad, the rest a remark."""
    if not found:
        return []
    nodes: dict[tuple[str, str, str, str, bool], list[str]] = {}
    for item in found:
        key = (item.setting, item.wished, item.has, item.remedy, item.demanded)
        nodes.setdefault(key, []).append(item.node)
    lines = [
        Line(f"{', '.join(names)}: {setting}: wished {wished}, has {has}; {remedy}", "bad" if demanded else "warning")
        for (setting, wished, has, remedy, demanded), names in nodes.items()
    ]
    return [Line(""), *lines]
