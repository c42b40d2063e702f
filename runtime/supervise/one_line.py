"""How a run stands, in one line: what `systemctl status` shows, and the last word in the journal."""

from __future__ import annotations

from cardan.runtime.vitals import NodeState, RunState, Vitals

OK = "ok"
READY = (NodeState.READY, NodeState.RUNNING, NodeState.LATE, NodeState.STOPPING, NodeState.FINISHED)


def verdict(vitals: Vitals) -> str:
    """`ok`, or the first cause: the earliest fault of the run or of a node."""
    causes = [(fault[0], f"{name}: {fault[2]}") for name, node in vitals.nodes.items() if (fault := node.fault)]
    if vitals.cause:
        causes.append((vitals.words[Vitals.CAUSE_NS], vitals.cause))
    if causes:
        return min(causes)[1]
    return "failed, and no cause was recorded" if vitals.run_state is RunState.FAILED else OK


def status(vitals: Vitals) -> str:
    """The state of the run, who is not well, and the verdict when it is not ok."""
    state, first_cause = vitals.run_state, verdict(vitals)
    parts = [state.name.lower(), *_unwell(vitals, state), first_cause if first_cause != OK else ""]
    if state is RunState.RUNNING and first_cause == OK:
        parts.append(f"{OK}, {len(vitals.nodes)} nodes")
    return ": ".join(part for part in parts if part)


def standing(vitals: Vitals) -> tuple[int, ...]:
    """Changes whenever `status` may: cheap enough for every look."""
    faults = [node.words[node.FAULT_NS] for node in vitals.nodes.values()]
    states = [node.words[node.STATE] for node in vitals.nodes.values()]
    return (vitals.words[Vitals.RUN_STATE], vitals.words[Vitals.CAUSE_NS], *states, *faults)


def _unwell(vitals: Vitals, state: RunState) -> list[str]:
    states = {name: node.state for name, node in vitals.nodes.items()}
    if state is RunState.STARTING:
        ready = sum(item in READY for item in states.values())
        return [f"{ready} of {len(states)} nodes ready"]
    if state in (RunState.STOPPING, RunState.STOPPED):
        return []
    unwell = [f"{name} is {item.name.lower().replace('_', '-')}" for name, item in states.items() if item not in READY]
    return [", ".join(unwell)] if unwell else []
