"""A small vehicle for tests of what looks at a run: camera, control, bridge, and a recorder of everything."""

from __future__ import annotations

from cardan.runtime.plan import InputPlan, MetricPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile

MESSAGES = "cardan.runtime.messages"
TOPICS = ["camera/frame", "control/command", "bridge/verdict", "bridge/sent"]


def output(topic: str, kind: str, subscribers: int = 1) -> OutputPlan:
    return OutputPlan(port=topic.split("/")[1], topic=topic, type=f"{MESSAGES}:{kind}", subscribers=subscribers)


def make_plan(*, loop: bool = False) -> Plan:
    """loop: control reads what the bridge says of its commands, as it does in a vehicle."""
    verdict = [InputPlan(port="verdict", topics=["bridge/verdict"])] if loop else []
    nodes = [
        NodePlan(name="camera", index=0, use="x:Camera", outputs=[output("camera/frame", "CameraFrame")]),
        NodePlan(
            name="control",
            index=1,
            use="x:Control",
            inputs=[InputPlan(port="frame", topics=["camera/frame"], max_age_s=0.15), *verdict],
            outputs=[output("control/command", "ActuatorCommand")],
        ),
        NodePlan(
            name="bridge",
            index=2,
            use="x:Bridge",
            inputs=[InputPlan(port="command", topics=["control/command"])],
            outputs=[output("bridge/verdict", "BridgeVerdict"), output("bridge/sent", "CanFrames")],
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
