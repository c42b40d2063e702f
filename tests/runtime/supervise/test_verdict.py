"""What the states of the nodes mean for the run."""

from __future__ import annotations

import msgspec

from cardan.runtime.modes import NORMAL, Mode
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.supervise.verdict import Standing, Verdict, judge, may_begin
from cardan.runtime.vitals import NodeState, RunState

NODES = {"control": True, "camera": True, "recorder": False, "replay": False}


def plan(stop_when: str | None = None) -> Plan:
    nodes = [
        NodePlan(name=name, index=i, use="m:C", critical=critical) for i, (name, critical) in enumerate(NODES.items())
    ]
    return Plan(
        name="t",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="t"),
        envelope={},
        envelope_hash="",
        nodes=nodes,
        stop_when=stop_when,
    )


def standings(state: NodeState, **others: NodeState) -> dict[str, Standing]:
    return {name: Standing(others.get(name, state), False) for name in NODES}


def verdict(began: bool = True, stop_when: str | None = None, **others: NodeState) -> Verdict:
    return judge(plan(stop_when), standings(NodeState.RUNNING, **others), began)


def test_a_run_begins_when_all_are_ready() -> None:
    assert may_begin(plan(), standings(NodeState.READY))
    assert not may_begin(plan(), standings(NodeState.READY, recorder=NodeState.STARTING))


def test_a_run_does_not_wait_for_a_node_that_has_failed_once_unless_it_is_critical() -> None:
    ready = standings(NodeState.READY)
    assert may_begin(plan(), {**ready, "recorder": Standing(NodeState.BACKING_OFF, True)})
    assert may_begin(plan(), {**ready, "recorder": Standing(NodeState.FAILED, True)})
    assert not may_begin(plan(), {**ready, "control": Standing(NodeState.BACKING_OFF, True)})
    assert not may_begin(plan(), {**ready, "control": Standing(NodeState.FAILED, True)})


def test_all_running_is_a_healthy_run() -> None:
    assert verdict() == Verdict(RunState.RUNNING, [])


def test_a_node_that_is_out_degrades_the_run_until_it_is_back() -> None:
    found = verdict(control=NodeState.BACKING_OFF)
    assert found == Verdict(RunState.DEGRADED, [], mode=Mode("degraded:control", "control is restarting", "control"))
    assert verdict(camera=NodeState.HUNG).mode.text == "camera is hung"
    assert verdict(camera=NodeState.HUNG).state is RunState.DEGRADED


def test_a_lost_node_degrades_the_run_and_is_named() -> None:
    mode = Mode("degraded:recorder", "recorder is lost", "recorder")
    assert verdict(recorder=NodeState.FAILED) == Verdict(RunState.DEGRADED, ["recorder"], mode=mode)


def test_a_lost_critical_node_fails_the_run_is_named_first_and_stops_nothing() -> None:
    mode = Mode("safe-stop", "camera is lost", "camera")
    found = verdict(recorder=NodeState.FAILED, camera=NodeState.FAILED)
    assert found == Verdict(RunState.FAILED, ["camera", "recorder"], mode=mode)


def test_before_the_beginning_nothing_is_missing_yet() -> None:
    assert verdict(began=False, camera=NodeState.BACKING_OFF).mode == NORMAL


def test_a_lost_node_whose_loss_is_a_safe_stop_fails_the_run_though_it_is_not_critical() -> None:
    wanted = msgspec.structs.replace(
        plan(), nodes=[msgspec.structs.replace(node, reactions={"lost": "safe-stop"}) for node in plan().nodes]
    )
    found = judge(wanted, standings(NodeState.RUNNING, recorder=NodeState.FAILED), True)
    assert (found.state, found.mode.name) == (RunState.FAILED, "safe-stop")


def test_a_lost_node_that_is_ignored_is_named_but_changes_no_mode() -> None:
    wanted = msgspec.structs.replace(
        plan(), nodes=[msgspec.structs.replace(node, reactions={"lost": "ignore"}) for node in plan().nodes]
    )
    found = judge(wanted, standings(NodeState.RUNNING, recorder=NodeState.FAILED), True)
    assert found == Verdict(RunState.RUNNING, ["recorder"])


def test_a_reported_fault_has_an_effect_only_where_the_manifest_says_so() -> None:
    standing = {**standings(NodeState.RUNNING), "camera": Standing(NodeState.RUNNING, False, faulty=True)}
    assert judge(plan(), standing, True).mode == NORMAL
    wanted = msgspec.structs.replace(
        plan(), nodes=[msgspec.structs.replace(node, reactions={"fault": "degraded:blind"}) for node in plan().nodes]
    )
    assert judge(wanted, standing, True).mode == Mode("degraded:blind", "camera has reported a fault", "camera")


def test_a_critical_node_lost_before_the_beginning_stops_the_run() -> None:
    found = verdict(began=False, control=NodeState.FAILED)
    assert found.state is RunState.FAILED
    assert found.stop == "control failed before the run began"


def test_the_run_stops_when_its_last_purpose_is_served_or_lost() -> None:
    assert verdict(stop_when="replay").stop == ""
    assert verdict(stop_when="replay", replay=NodeState.FINISHED) == Verdict(
        RunState.RUNNING, [], "replay has finished"
    )
    assert verdict(stop_when="replay", replay=NodeState.FAILED).state is RunState.FAILED


def test_a_run_with_no_node_left_stops() -> None:
    finished = NodeState.FINISHED
    assert verdict(control=finished, camera=finished, recorder=finished, replay=finished).stop == "no node is left"
