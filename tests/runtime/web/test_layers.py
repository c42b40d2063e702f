from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.web.layers import arrows_of, layers_of


def test_data_flows_from_layer_to_layer_and_a_loop_does_not_count(plan: Plan) -> None:
    assert layers_of(plan) == {"camera": 0, "control": 1, "bridge": 2, "recorder": 3}


def test_what_takes_everything_has_no_arrows(plan: Plan) -> None:
    assert arrows_of(plan) == [
        ("camera", "control", "camera/frame"),
        ("bridge", "control", "bridge/verdict"),
        ("control", "bridge", "control/command"),
    ]


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 11), max_size=4), min_size=1, max_size=12))
def test_every_arrow_that_leads_on_leads_to_a_later_layer(reads: list[list[int]]) -> None:
    names = [f"n{index}" for index in range(len(reads))]
    nodes = [
        NodePlan(
            name=name,
            index=index,
            use="x:X",
            inputs=[InputPlan(port=f"p{other}", topics=[f"n{other}/out"]) for other in sorted(set(reads[index]))],
            outputs=[OutputPlan(port="out", topic=f"{name}/out", type="x:X")],
        )
        for index, name in enumerate(names)
    ]
    plan = Plan(
        name="", manifest="", manifest_sha256="", profile=Profile(name=""), envelope={}, envelope_hash="", nodes=nodes
    )
    layers = layers_of(plan)
    assert all(
        layers[source] < layers[target]
        for source, target, _ in arrows_of(plan)
        if names.index(source) < names.index(target)
    )
