"""The order of the stop."""

from __future__ import annotations

from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.supervise.order import stop_waves

COMMAND = "cardan.runtime.messages:ActuatorCommand"


def node(name: str, reads: list[str], writes: dict[str, str], many: bool = False, stops_last: bool = False) -> NodePlan:
    return NodePlan(
        name=name,
        index=0,
        use="m:C",
        stops_last=stops_last,
        inputs=[InputPlan(port="in", topics=reads, many=many)] if reads else [],
        outputs=[OutputPlan(port=topic.split("/")[1], topic=topic, type=kind) for topic, kind in writes.items()],
    )


def test_the_bridge_follows_control_and_those_who_keep_everything_come_last() -> None:
    nodes = [
        node("uplink", [], {}, stops_last=True),
        node("recorder", ["camera/frame", "control/command"], {}, many=True),
        node("bridge", ["control/command"], {"bridge/verdict": "m:Verdict"}),
        node("camera", [], {"camera/frame": "m:Frame"}),
        node("control", ["camera/frame", "bridge/verdict"], {"control/command": COMMAND}),
    ]
    plan = Plan(
        name="t",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="t"),
        envelope={},
        envelope_hash="",
        nodes=nodes,
    )
    waves = stop_waves(plan)
    assert [wave.nodes for wave in waves] == [["camera", "control"], ["bridge"], ["recorder"], ["uplink"]]
    assert [wave.after_exit for wave in waves] == [False, False, True, True]
    assert [wave.patience_ns for wave in waves] == [None, 20_000_000, None, None]
