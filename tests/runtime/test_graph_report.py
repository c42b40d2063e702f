from __future__ import annotations

import msgspec
import pytest

from cardan.runtime.graph_report import describe, step_rate_hz
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile


def node(name: str, index: int, reads: InputPlan | None = None, **settings: object) -> NodePlan:
    outputs = [OutputPlan(port="out", topic=f"{name}/out", type="m:T")]
    inputs = [] if reads is None else [reads]
    base = NodePlan(name=name, index=index, use="m:C", inputs=inputs, outputs=outputs)
    return base.__class__(**{field: getattr(base, field) for field in base.__struct_fields__} | settings)


@pytest.fixture
def plan() -> Plan:
    camera = node("camera", 0, rate_hz=20.0, core_group="rest", cores=[1, 2])
    road = node("road", 1, InputPlan(port="frame", topics=["camera/out"]), stepped_by="frame", step_budget_s=0.02)
    control = node(
        "control",
        2,
        InputPlan(port="view", topics=["road/out"], max_age_s=0.2),
        rate_hz=100.0,
        realtime=True,
        critical=True,
        restart="always",
    )
    recorder = node("recorder", 3, InputPlan(port="all", topics=["a/b", "c/d"], many=True, queue=9), rate_hz=10.0)
    return Plan(
        name="car",
        manifest="vehicle.toml",
        manifest_sha256="",
        profile=Profile(name="bench"),
        envelope={"accel_mps2": {}},
        envelope_hash="0123456789abcdef",
        nodes=[camera, road, control, recorder],
    )


def line_of(plan: Plan, name: str) -> list[str]:
    return next(line for line in describe(plan).splitlines() if line.startswith(f"{name} ")).split()


def test_a_node_that_is_stepped_by_another_has_its_rate(plan: Plan) -> None:
    assert step_rate_hz(plan, plan.node("road")) == 20.0
    assert step_rate_hz(plan, plan.node("control")) == 100.0


def test_each_node_is_shown_with_rate_period_budget_and_age_limit(plan: Plan) -> None:
    road = "road 20 Hz 50 ms 20 ms any on-failure frame <- camera/out any age road/out"
    assert line_of(plan, "road") == road.split()
    control = "control 100 Hz 10 ms 10 ms any rt always critical view <- road/out 200 ms control/out"
    assert line_of(plan, "control") == control.split()
    assert line_of(plan, "recorder")[-7:] == ["all", "<-", "2", "topics", "queue", "9", "recorder/out"]


def test_the_declared_budgets_of_a_core_group_are_added_up(plan: Plan) -> None:
    text = describe(plan)
    assert "core group any (cores: all): 40 % of one core by 1 declared budgets of 3 nodes" in text
    assert "core group rest (cores: 1,2): 0 % of one core by 0 declared budgets of 1 node" in text


def test_the_envelope_is_shown_with_its_hash(plan: Plan) -> None:
    assert describe(plan).splitlines()[-1] == "envelope 0123456789abcdef: accel_mps2"
    assert describe(plan).splitlines()[0] == "car: 4 nodes, 4 topics on the profile bench"


def test_the_response_time_of_a_real_time_node_is_shown_beside_its_budget(plan: Plan) -> None:
    nodes = [*plan.nodes, node("bridge", 4, rate_hz=100.0, realtime=True, step_budget_s=0.004, cores=[3], priority=50)]
    text = describe(msgspec.structs.replace(plan, nodes=nodes))
    row = next(line for line in text.splitlines() if line.split()[:2] == ["bridge", "3"])
    assert row.split() == ["bridge", "3", "50", "10", "ms", "-", "4", "ms", "40", "%", "4.3", "ms", "5.7", "ms"]
    assert "Joseph and Pandya 1986" in text
