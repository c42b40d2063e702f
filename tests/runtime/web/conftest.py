"""A small run whose vitals a test fills by hand, as the page finds it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, Vitals, create_vitals

MESSAGES = "cardan.runtime.messages"


def _output(topic: str, kind: str) -> OutputPlan:
    return OutputPlan(port=topic.split("/")[1], topic=topic, type=f"{MESSAGES}:{kind}")


@pytest.fixture
def plan() -> Plan:
    """camera -> control <-> bridge, and a recorder of everything."""
    nodes = [
        NodePlan(name="camera", index=0, use="x:Camera", outputs=[_output("camera/frame", "CameraFrame")]),
        NodePlan(
            name="control",
            index=1,
            use="x:Control",
            inputs=[
                InputPlan(port="frame", topics=["camera/frame"]),
                InputPlan(port="verdict", topics=["bridge/verdict"]),
            ],
            outputs=[_output("control/command", "ActuatorCommand")],
        ),
        NodePlan(
            name="bridge",
            index=2,
            use="x:Bridge",
            inputs=[InputPlan(port="command", topics=["control/command"])],
            outputs=[_output("bridge/verdict", "BridgeVerdict")],
        ),
        NodePlan(
            name="recorder",
            index=3,
            use="x:Recorder",
            inputs=[InputPlan(port="all", topics=["camera/frame", "control/command"], queue=9, many=True)],
        ),
    ]
    return Plan(
        name="small",
        manifest="/vehicles/small.toml",
        manifest_sha256="0" * 64,
        profile=Profile(name="bench"),
        envelope={},
        envelope_hash="0" * 16,
        nodes=nodes,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vitals(plan: Plan, clock: FakeClock, tmp_path: Path) -> Iterator[Vitals]:
    page = create_vitals(tmp_path / "vitals", plan, now_ns=clock.now_ns(), wall_ns=clock.wall_ns())
    page.words[Vitals.RUN_STATE] = RunState.RUNNING
    for node in page.nodes.values():
        node.words[NodeVitals.STATE], node.words[NodeVitals.STARTS] = NodeState.RUNNING, 1
        node.words[NodeVitals.STARTED_NS] = clock.now_ns()
    clock.advance_s(10.0)
    yield page
    page.close()


@pytest.fixture
def found(plan: Plan, vitals: Vitals, tmp_path: Path) -> FoundRun:
    """The run, as active; none of its topics has a ring."""
    return FoundRun(plan, vitals, "20260101-000000-abcd", tmp_path / "data", tmp_path / "bus")
