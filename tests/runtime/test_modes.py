"""What a vehicle can still do when nodes are away."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.modes import FAULT, HUNG, LOST, NORMAL, RESTARTING, Mode, mode_of
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import Profile


def plan_of(**nodes: dict[str, Any]) -> Plan:
    return Plan(
        name="t",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="t"),
        envelope={},
        envelope_hash="",
        nodes=[NodePlan(name=name, index=i, use="m:C", **settings) for i, (name, settings) in enumerate(nodes.items())],
    )


PLAN = plan_of(
    control={"critical": True},
    camera={"reactions": {LOST: "safe-stop", RESTARTING: "ignore"}, "reaction_text": "no pictures"},
    road={"reactions": {LOST: "degraded:no-perception", HUNG: "degraded:no-perception"}},
    radar={"reactions": {LOST: "degraded:no-perception"}},
    recorder={},
)


def test_nothing_happening_is_normal_operation() -> None:
    assert mode_of(PLAN, {}) == NORMAL
    assert mode_of(PLAN, {"recorder": []}) == NORMAL


def test_without_a_table_a_lost_critical_node_is_a_safe_stop_and_any_other_a_degraded_mode_of_its_name() -> None:
    assert mode_of(PLAN, {"control": [LOST]}) == Mode("safe-stop", "control is lost", "control")
    assert mode_of(PLAN, {"control": [RESTARTING]}) == Mode("degraded:control", "control is restarting", "control")
    assert mode_of(PLAN, {"recorder": [LOST]}) == Mode("degraded:recorder", "recorder is lost", "recorder")


def test_the_manifest_names_the_mode_and_says_what_it_means() -> None:
    assert mode_of(PLAN, {"camera": [LOST]}) == Mode("safe-stop", "camera is lost: no pictures", "camera")
    assert mode_of(PLAN, {"road": [HUNG]}).name == "degraded:no-perception"


def test_two_nodes_may_lead_to_the_same_mode() -> None:
    mode = mode_of(PLAN, {"radar": [LOST], "road": [LOST]})
    assert mode == Mode("degraded:no-perception", "road is lost; radar is lost", "road")


def test_several_degraded_modes_hold_together_and_a_safe_stop_stands_alone() -> None:
    several = {"road": [LOST], "recorder": [HUNG]}
    assert mode_of(PLAN, several).name == "degraded:no-perception,recorder"
    assert mode_of(PLAN, {**several, "camera": [LOST]}).name == "safe-stop"


def test_what_is_to_be_ignored_changes_nothing() -> None:
    assert mode_of(PLAN, {"camera": [RESTARTING], "recorder": [FAULT]}) == NORMAL


def test_a_node_called_safe_stop_only_degrades() -> None:
    plan = plan_of(**{"safe-stop": {}})
    assert not mode_of(plan, {"safe-stop": [LOST]}).stops


happenings = st.dictionaries(st.sampled_from([n.name for n in PLAN.nodes]), st.lists(st.sampled_from([LOST, HUNG])))


@given(happenings, happenings)
def test_more_trouble_never_ends_a_safe_stop(some: dict[str, list[str]], more: dict[str, list[str]]) -> None:
    both = {name: some.get(name, []) + more.get(name, []) for name in {*some, *more}}
    assert mode_of(PLAN, both).stops == (mode_of(PLAN, some).stops or mode_of(PLAN, more).stops)
