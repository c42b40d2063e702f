"""What the states of all nodes mean for the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cardan.runtime.modes import FAULT, HUNG, LOST, NORMAL, RESTARTING, SAFE_STOP, Mode, mode_of, reaction
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.vitals import NodeState, RunState

WELL = (NodeState.READY, NodeState.RUNNING, NodeState.LATE, NodeState.STOPPING, NodeState.FINISHED)
SETTLED = (*WELL, NodeState.FAILED)
"""Has answered its first start, one way or the other."""


class Standing(NamedTuple):
    """Where one node stands."""

    state: NodeState
    has_failed: bool
    """At least one of its starts has ended badly."""
    faulty: bool = False
    """It has reported a fault in this run."""


@dataclass(frozen=True)
class Verdict:
    """What the supervisor makes of it."""

    state: RunState
    failed: list[str]
    """Nodes that will not come back, critical ones first."""
    stop: str = ""
    """Why the run has to stop; empty to go on."""
    mode: Mode = NORMAL
    """What the vehicle can still do."""


def may_begin(plan: Plan, nodes: Mapping[str, Standing]) -> bool:
    """True when every critical node is ready, and every other one is ready or has failed at least once."""
    return all(_has_answered(node, nodes[node.name]) for node in plan.nodes)


def judge(plan: Plan, nodes: Mapping[str, Standing], began: bool) -> Verdict:
    """The verdict on a run that nobody has asked to stop.

    A critical node that is lost after the beginning leaves the others running: the bridge brings the vehicle to its
    safe stop, and the recorder keeps what led there. Before the beginning nothing moves, and the run stops.
    """
    mode = mode_of(plan, {name: _happenings(standing) for name, standing in nodes.items()}) if began else NORMAL
    lost = [node for node in plan.nodes if nodes[node.name].state is NodeState.FAILED]
    lost.sort(key=lambda node: not node.critical)
    fatal = [node.name for node in lost if reaction(node, LOST) == SAFE_STOP or node.name == plan.stop_when]
    return Verdict(
        _state(began, mode, bool(fatal)), [node.name for node in lost], _stop(plan, nodes, began, fatal), mode
    )


def _happenings(standing: Standing) -> list[str]:
    """What is happening to a node that was well once; a first start is no trouble."""
    found = [FAULT] if standing.faulty else []
    if standing.state is NodeState.FAILED:
        found.append(LOST)
    elif standing.state is NodeState.HUNG:
        found.append(HUNG)
    elif standing.state is NodeState.BACKING_OFF or (standing.state not in WELL and standing.has_failed):
        found.append(RESTARTING)
    return found


def _has_answered(node: NodePlan, standing: Standing) -> bool:
    if standing.state is NodeState.FAILED:
        return not node.critical
    return standing.state in SETTLED or (standing.has_failed and not node.critical)


def _state(began: bool, mode: Mode, fatal: bool) -> RunState:
    if fatal:
        return RunState.FAILED
    if not began:
        return RunState.STARTING
    return RunState.DEGRADED if mode.name else RunState.RUNNING


def _stop(plan: Plan, nodes: Mapping[str, Standing], began: bool, fatal: list[str]) -> str:
    over = (NodeState.FINISHED, NodeState.FAILED)
    if plan.stop_when and nodes[plan.stop_when].state in over:
        return f"{plan.stop_when} has {nodes[plan.stop_when].state.name.lower()}"
    if all(nodes[node.name].state in over for node in plan.nodes):
        return "no node is left"
    return f"{fatal[0]} failed before the run began" if fatal and not began else ""
