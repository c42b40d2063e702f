"""What the states of all nodes mean for the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.vitals import NodeState, RunState

SETTLED = (NodeState.READY, NodeState.RUNNING, NodeState.STOPPING, NodeState.FINISHED, NodeState.FAILED)
"""Has answered its first start, one way or the other."""
WELL = (NodeState.READY, NodeState.RUNNING, NodeState.STOPPING, NodeState.FINISHED)


@dataclass(frozen=True)
class Standing:
    """Where one node stands."""

    state: NodeState
    has_failed: bool
    """At least one of its starts has ended badly."""


@dataclass(frozen=True)
class Verdict:
    """What the supervisor makes of it."""

    state: RunState
    failed: list[str]
    """Nodes that will not come back, critical ones first."""
    stop: str = ""
    """Why the run has to stop; empty to go on."""


def may_begin(plan: Plan, nodes: Mapping[str, Standing]) -> bool:
    """True when every critical node is ready, and every other one is ready or has failed at least once."""
    return all(_has_answered(node, nodes[node.name]) for node in plan.nodes)


def judge(plan: Plan, nodes: Mapping[str, Standing], began: bool) -> Verdict:
    """The verdict on a run that nobody has asked to stop.

    A critical node that is lost after the beginning leaves the others running: the bridge brings the vehicle to its
    safe stop, and the recorder keeps what led there. Before the beginning nothing moves, and the run stops.
    """
    lost = [node for node in plan.nodes if nodes[node.name].state is NodeState.FAILED]
    lost.sort(key=lambda node: not node.critical)
    fatal = [node.name for node in lost if node.critical or node.name == plan.stop_when]
    return Verdict(
        _state(plan, nodes, began, bool(lost), bool(fatal)),
        [node.name for node in lost],
        _stop(plan, nodes, began, fatal),
    )


def _has_answered(node: NodePlan, standing: Standing) -> bool:
    if standing.state is NodeState.FAILED:
        return not node.critical
    return standing.state in SETTLED or (standing.has_failed and not node.critical)


def _state(plan: Plan, nodes: Mapping[str, Standing], began: bool, lost: bool, fatal: bool) -> RunState:
    if fatal:
        return RunState.FAILED
    if not began:
        return RunState.STARTING
    well = all(nodes[node.name].state in WELL for node in plan.nodes)
    return RunState.RUNNING if well and not lost else RunState.DEGRADED


def _stop(plan: Plan, nodes: Mapping[str, Standing], began: bool, fatal: list[str]) -> str:
    over = (NodeState.FINISHED, NodeState.FAILED)
    if plan.stop_when and nodes[plan.stop_when].state in over:
        return f"{plan.stop_when} has {nodes[plan.stop_when].state.name.lower()}"
    if all(nodes[node.name].state in over for node in plan.nodes):
        return "no node is left"
    return f"{fatal[0]} failed before the run began" if fatal and not began else ""
