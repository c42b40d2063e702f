"""Modes: what a vehicle can still do when nodes are away, from the manifest's `[reactions]`. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from cardan.runtime.plan import NodePlan, Plan

SAFE_STOP, DEGRADED, IGNORE = "safe-stop", "degraded:", "ignore"
LOST, RESTARTING, HUNG, FAULT = "lost", "restarting", "hung", "fault"
WORDS = {LOST: "is lost", RESTARTING: "is restarting", HUNG: "is hung", FAULT: "has reported a fault"}


class Mode(msgspec.Struct, frozen=True):
    """What the vehicle can still do, and why."""

    name: str = ""
    """`safe-stop`, or `degraded:` and names with commas between; empty in normal operation."""
    text: str = ""
    """For a person: every node that this mode comes from, and what the manifest says about it."""
    first: str = ""
    """The node that comes first among them."""

    @property
    def stops(self) -> bool:
        return self.name == SAFE_STOP


NORMAL = Mode()


def mode_of(plan: Plan, happenings: Mapping[str, Collection[str]]) -> Mode:
    """The mode that follows from what is happening to each node (lost, restarting, hung, fault) at this moment."""
    found = [
        (node, happening, mode)
        for node in plan.nodes
        for happening in happenings.get(node.name, ())
        if (mode := reaction(node, happening)) != IGNORE
    ]
    if not found:
        return NORMAL
    stops = [item for item in found if item[2] == SAFE_STOP]
    worst = stops or found
    names = dict.fromkeys(mode.removeprefix(DEGRADED) for _, _, mode in worst)
    name = SAFE_STOP if stops else DEGRADED + ",".join(names)
    return Mode(name, "; ".join(_say(node, happening) for node, happening, _ in worst), worst[0][0].name)


def reaction(node: NodePlan, happening: str) -> str:
    """What follows: as the manifest says, else by the rule that the loss of a critical node is a safe stop."""
    if happening in node.reactions:
        return node.reactions[happening]
    if happening == FAULT:
        return IGNORE
    return SAFE_STOP if happening == LOST and node.critical else DEGRADED + node.name


def _say(node: NodePlan, happening: str) -> str:
    said = f"{node.name} {WORDS[happening]}"
    return f"{said}: {node.reaction_text}" if node.reaction_text else said
