from __future__ import annotations

from dataclasses import replace

import pytest

from cardan.runtime.graph import load_plan
from cardan.runtime.graph_phases import Stepped, phases


def node(name: str, *reads: str, budget_ms: float = 1.0, hz: float | None = 100.0, realtime: bool = True) -> Stepped:
    return Stepped(
        name=name,
        period_s=1 / hz if hz else None,
        budget_s=budget_ms / 1000,
        realtime=realtime,
        reads=frozenset(reads),
    )


def test_a_node_steps_when_those_it_reads_from_must_be_done() -> None:
    chain = [node("plan", budget_ms=2.0), node("control", "plan", budget_ms=1.5), node("bridge", "control", "plan")]
    assert phases(chain) == pytest.approx({"plan": 0.0, "control": 0.002, "bridge": 0.0035})


def test_in_a_circle_the_first_one_leads() -> None:
    assert phases([node("control", "bridge"), node("bridge", "control")]) == {"control": 0.0, "bridge": 0.001}


@pytest.mark.parametrize(
    "other",
    [
        node("other", "control", hz=50.0),
        node("other", "control", hz=None),
        node("other", "control", realtime=False),
        node("other"),
    ],
)
def test_nodes_that_do_not_go_together_step_when_they_happen_to(other: Stepped) -> None:
    assert phases([node("control"), other]) == {}


def test_a_chain_that_is_longer_than_the_period_goes_on_with_data_of_the_period_before() -> None:
    chain = [node("a", budget_ms=5.0), node("b", "a", budget_ms=4.0), node("c", "b")]
    assert phases(chain) == {"a": 0.0, "b": 0.005, "c": 0.0}


def test_without_a_budget_the_next_one_steps_on_the_same_grid() -> None:
    assert phases([replace(node("a"), budget_s=None), node("b", "a")]) == {"a": 0.0, "b": 0.0}


def test_in_the_reference_vehicle_the_bridge_steps_behind_control() -> None:
    plan = load_plan()
    control, bridge = plan.node("control"), plan.node("bridge")
    assert (control.phase_s, bridge.phase_s) == (0.0, control.step_budget_s)
    assert [item.name for item in plan.nodes if item.phase_s is not None] == ["control", "bridge"]
