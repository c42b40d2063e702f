"""One node's control group as the vitals show it: the limits that hold, and what the node has taken so far."""

from __future__ import annotations

from cardan.runtime.clock import ns
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.supervise.groups import Limits, NodeGroup, RunGroups, StartGroup
from cardan.runtime.vitals import NodeVitals

LOOK_NS = ns(5.0)
"""Reading three files of a group takes 40 us."""
BYTES_PER_MIB = 1024 * 1024


def wished_limits(node: NodePlan) -> Limits:
    """What the plan says."""
    return Limits(round((node.memory_max_mib or 0.0) * BYTES_PER_MIB), node.cpu_weight or 0)


def wished_controllers(plan: Plan) -> list[str]:
    """Memory is always counted where it can be. A cpu controller is asked for only by those who weigh: on a kernel with
    RT_GROUP_SCHED it takes SCHED_FIFO away."""
    return ["memory", *(["cpu"] if any(node.cpu_weight for node in plan.nodes) else [])]


def enable_limits(plan: Plan, groups: RunGroups | str) -> str:
    """Turn on what the plan wishes for the whole run; what came of it, for a person. groups: or why there are none."""
    if isinstance(groups, str):
        return f"none: {groups}; what a node leaves behind ends with the run, and memory_max_mib has no effect"
    missing = groups.enable(wished_controllers(plan))
    without = f"; no limits of {' and '.join(missing)} here" if missing else ""
    return f"one for each node in {groups.folder}{without}"


class WatchedGroup:
    """The group of one node with its block in the vitals; without a group everything here does nothing."""

    def __init__(self, group: NodeGroup | None, node: NodePlan, vitals: NodeVitals) -> None:
        self._group = group
        self._words = vitals.words
        self._next_ns = 0
        if group is not None:
            has = group.limit(wished_limits(node))
            self._words[NodeVitals.HAS_GROUP] = 1
            self._words[NodeVitals.MEMORY_MAX_KIB] = has.memory_bytes // 1024
            self._words[NodeVitals.CPU_WEIGHT] = has.cpu_weight

    def for_start(self, number: int) -> StartGroup | None:
        """The group of a start of the node."""
        return None if self._group is None else self._group.for_start(number)

    def look(self, now_ns: int) -> None:
        """Now and then, write down what it has taken."""
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + LOOK_NS
            self.take_stock()

    def take_stock(self) -> int:
        """Write down what it has taken; returns how many more processes the kernel has ended at its memory limit."""
        if self._group is None:
            return 0
        usage, words = self._group.usage(), self._words
        killed = usage.killed - words[NodeVitals.MEMORY_KILLS]
        words[NodeVitals.MEMORY_PEAK_KIB] = usage.memory_peak_bytes // 1024
        words[NodeVitals.CPU_US] = usage.cpu_us
        words[NodeVitals.MEMORY_KILLS] = usage.killed
        return killed
