from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.errors import RunError
from cardan.runtime.plan import NodePlan, OutputPlan, Plan, read_plan, write_plan
from cardan.runtime.profile import CanChannelSettings, Profile


@pytest.fixture
def plan() -> Plan:
    profile = Profile(name="pc", cores={"a": [1, 2], "b": "all"}, can={"x": CanChannelSettings(name="x", port=5)})
    output = OutputPlan(port="out", topic="a/out", type="m:T", subscribers=2)
    node = NodePlan(name="a", index=0, use="m:C", config={"deep": {"list": [1, "x"]}}, outputs=[output])
    limits = {"accel_mps2": {"minimum": -1, "maximum_by_speed": [[0, 1.5]]}}
    return Plan(
        name="car",
        manifest="/etc/vehicle.toml",
        manifest_sha256="0" * 64,
        profile=profile,
        envelope=limits,
        envelope_hash="0" * 16,
        nodes=[node],
    )


def test_a_plan_survives_the_way_to_a_file_and_back(plan: Plan, tmp_path: Path) -> None:
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan


def test_nodes_and_topics_are_found_by_name(plan: Plan) -> None:
    assert plan.node("a").use == "m:C"
    assert plan.topics()["a/out"].subscribers == 2
    with pytest.raises(RunError, match='no node "b" in the plan of car'):
        plan.node("b")


@pytest.mark.parametrize("content", ["", "{}", "[1]", "\x00"])
def test_a_file_that_is_no_plan_is_an_error_with_a_hint(content: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(RunError, match=r"cannot read the plan .*plan\.json"):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(RunError):
        read_plan(tmp_path / "absent.json")
