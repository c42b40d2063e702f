"""A small vehicle with vitals that a test fills by hand: camera, control, bridge and a recorder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import InputPlan, MetricPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, SeriesKind, SeriesVitals, Vitals, create_vitals

MESSAGES = "cardan.runtime.messages"
TOPICS = ["camera/frame", "control/command", "bridge/verdict", "bridge/sent"]


def _output(topic: str, kind: str, subscribers: int = 1) -> OutputPlan:
    return OutputPlan(port=topic.split("/")[1], topic=topic, type=f"{MESSAGES}:{kind}", subscribers=subscribers)


def make_plan() -> Plan:
    nodes = [
        NodePlan(name="camera", index=0, use="x:Camera", outputs=[_output("camera/frame", "CameraFrame")]),
        NodePlan(
            name="control",
            index=1,
            use="x:Control",
            inputs=[InputPlan(port="frame", topics=["camera/frame"])],
            outputs=[_output("control/command", "ActuatorCommand")],
        ),
        NodePlan(
            name="bridge",
            index=2,
            use="x:Bridge",
            inputs=[InputPlan(port="command", topics=["control/command"])],
            outputs=[_output("bridge/verdict", "BridgeVerdict"), _output("bridge/sent", "CanFrames")],
            metrics=[MetricPlan(name="safe_stops", unit="count")],
        ),
        NodePlan(
            name="recorder",
            index=3,
            use="x:Recorder",
            inputs=[InputPlan(port="everything", topics=TOPICS, queue=20_000, many=True)],
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
def plan() -> Plan:
    return make_plan()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def vitals(plan: Plan, clock: FakeClock, tmp_path: Path) -> Iterator[Vitals]:
    page = create_vitals(tmp_path / "vitals", plan, now_ns=clock.now_ns(), wall_ns=clock.wall_ns())
    yield page
    page.close()


@pytest.fixture
def driven(vitals: Vitals, clock: FakeClock) -> Vitals:
    """Ten seconds of a healthy drive: 200 frames, 1000 commands, 30 to 39 ms from photon to CAN."""
    _publish(vitals, clock, "camera", "frame", count=200, origin_ms=[0])
    _publish(vitals, clock, "control", "command", count=1000, origin_ms=[25])
    _publish(vitals, clock, "bridge", "verdict", count=1000, origin_ms=[26])
    _publish(vitals, clock, "bridge", "sent", count=1000, origin_ms=list(range(30, 40)))
    clock.advance_s(10)
    for node in vitals.nodes.values():
        words = node.words
        words[NodeVitals.STATE], words[NodeVitals.STARTS], words[NodeVitals.STEPS] = NodeState.RUNNING, 1, 1000
        words[NodeVitals.STEP_END_NS] = clock.now_ns() - 5_000_000
        words[NodeVitals.WORST_LATENESS_NS] = 800_000
        for _ in range(1000):
            node.lateness.add(60_000)
            node.step_time.add(400_000)
        words[NodeVitals.WORST_STEP_NS] = 500_000
    vitals.words[Vitals.RUN_STATE] = RunState.RUNNING
    vitals.words[Vitals.HEARTBEAT_NS] = clock.now_ns()
    return vitals


def _publish(vitals: Vitals, clock: FakeClock, node: str, port: str, *, count: int, origin_ms: list[int]) -> None:
    series = vitals.nodes[node].find(SeriesKind.OUTPUT, port)
    assert series is not None
    for index in range(count):
        series.observe(origin_ms[index % len(origin_ms)] * 1_000_000)
    series.words[SeriesVitals.LAST_NS] = clock.now_ns() + 9_990_000_000
    series.words[SeriesVitals.BYTES] = count * 100
