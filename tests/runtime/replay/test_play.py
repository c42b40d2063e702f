from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from cardan.runtime.bus.codec import MessageDecoder
from cardan.runtime.bus.envelope import HEADER_SIZE, Sample, unpack
from cardan.runtime.bus.ring_ends import Subscription
from cardan.runtime.cli.main import main
from cardan.runtime.errors import RunError
from cardan.runtime.graph import load_plan
from cardan.runtime.messages import BridgeVerdict, CanFrame, CanFrames, Message, RoadView, VehicleState, type_name
from cardan.runtime.node import Input, Node, Output
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.record.recording import Recording
from cardan.runtime.rehearsal import Rehearsal
from cardan.runtime.replay.play import replay

DURATION_S = 3.0


class Field(Message, frozen=True, kw_only=True):
    n: int
    x: float
    values: np.ndarray


class Fake(Node):
    """Says something under whatever name the vehicle gives its output."""

    port: ClassVar[str]

    def say(self, message: Message, **how: Any) -> None:
        self.__dict__[self.port].send(message, **how)


class FakeState(Fake):
    """A vehicle that speeds up and slows down, and loses its speed sensor now and then."""

    def open(self) -> None:
        self.random = random.Random(1)
        self.speed_mps = 15.0

    def step(self) -> None:
        self.speed_mps = max(0.0, self.speed_mps + self.random.gauss(0.0, 0.1))
        state = VehicleState(
            stamp_ns=self.clock.now_ns(),
            speed_mps=self.speed_mps,
            wheel_speed_mps=(self.speed_mps,) * 4,
            steering_rad=self.random.gauss(0.0, 0.01),
            steering_wheel_rad=0.1,
            yaw_rate_radps=self.random.gauss(0.0, 0.01),
            accel_mps2=0.1,
            brake_pressed=False,
            gas_pressed=False,
            engage_requested=True,
            cancel_requested=False,
            frames_decoded=1,
            checksum_failures=0,
            counter_failures=0,
        )
        self.say(state, valid=self.random.random() > 0.02)


class FakeRoad(Fake):
    """A lane and a lead that come and go."""

    def open(self) -> None:
        self.random = random.Random(2)
        self.frame_id = 0

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        x_m = tuple(float(x) for x in range(5, 60, 5))
        bend = self.random.gauss(0.0, 1e-3)
        view = RoadView(
            status="ok",
            frame_id=self.frame_id,
            model="0" * 12,
            start_ns=now_ns - 9_000_000,
            end_ns=now_ns,
            x_m=x_m,
            left_y_m=tuple(1.8 + bend * x * x for x in x_m),
            right_y_m=tuple(-1.8 + bend * x * x for x in x_m),
            lane_probability=0.98,
            lead_probability=self.random.random(),
            lead_gap_m=self.random.uniform(5.0, 60.0),
            lead_y_m=0.1,
            dropped=0,
        )
        self.frame_id += 1
        if self.random.random() > 0.1:
            self.say(view, origin_ns=now_ns - 20_000_000)


class FakeBridge(Fake):
    """Accepts every command, as it says."""

    def step(self) -> None:
        self.say(
            BridgeVerdict(
                cycle=1,
                engagement="enabled",
                armed=True,
                accepted=True,
                reason="ok",
                cause="driver-engage",
                steering_rad=0.001,
                accel_mps2=0.2,
            )
        )


class Source(Node):
    field = Output(Field)
    frames = Output(CanFrames)

    def open(self) -> None:
        self.n = 0

    def step(self) -> None:
        self.n += 1
        self.field.send(Field(n=self.n, x=1 / self.n, values=np.arange(self.n % 4, dtype=np.float32)))
        frame = CanFrame(channel="vehicle", id=self.n, data=bytes([self.n & 0xFF]), stamp_ns=self.clock.now_ns())
        self.frames.send(CanFrames(frames=[frame]))


class Mean(Node):
    """Means over all it has ever seen: one message less, or one out of order, shows for ever."""

    stepped_by = "field"
    field = Input(Field, queue=10)
    frames = Input(CanFrames, queue=10)
    out = Output(Field)

    def open(self) -> None:
        self.sum = 0.0

    def step(self) -> None:
        for sample in self.field.take():
            self.sum = self.sum * 0.9 + sample.value.x + float(sample.value.values.sum())
        for frames in self.frames.take():
            self.sum += sum(frame.id for frame in frames.value.frames) * 1e-3
        self.out.send(Field(n=self.field.seq, x=self.sum, values=np.array([self.sum, math.pi])))


def bare_plan(nodes: list[NodePlan]) -> Plan:
    return Plan(
        name="replayed",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="test"),
        envelope={},
        envelope_hash="",
        nodes=nodes,
    )


def small_plan() -> Plan:
    """`source` at 50 Hz and `mean`, which it steps; the classes are found by name, as in a vehicle."""

    def output(node: str, port: str, kind: type[Message]) -> OutputPlan:
        return OutputPlan(port=port, topic=f"{node}/{port}", type=type_name(kind))

    inputs = [InputPlan(port=port, topics=[f"source/{port}"], queue=10) for port in ("field", "frames")]
    outputs = [output("source", "field", Field), output("source", "frames", CanFrames)]
    return bare_plan(
        [
            NodePlan(name="source", index=0, use=use(Source), rate_hz=50.0, outputs=outputs),
            NodePlan(
                name="mean",
                index=1,
                use=use(Mean),
                stepped_by="field",
                inputs=inputs,
                outputs=[output("mean", "out", Field)],
            ),
        ]
    )


def controller_plan() -> tuple[Plan, dict[str, type[Node]]]:
    """The reference controller as the reference vehicle has it, and fakes of all that it reads from."""
    reference = load_plan()
    control = reference.node("control")
    kinds: dict[str, tuple[type[Message], type[Fake], float]] = {
        type_name(VehicleState): (VehicleState, FakeState, 100.0),
        type_name(RoadView): (RoadView, FakeRoad, 20.0),
        type_name(BridgeVerdict): (BridgeVerdict, FakeBridge, 100.0),
    }
    nodes: list[NodePlan] = []
    fakes: dict[str, type[Node]] = {}
    for topic in dict.fromkeys(topic for item in control.inputs for topic in item.topics):
        name, _, port = topic.partition("/")
        message_type, kind, rate_hz = kinds[reference.topics()[topic].type]
        fakes[name] = type(kind.__name__, (kind,), {port: Output(message_type), "port": port})
        outputs = [OutputPlan(port=port, topic=topic, type=type_name(message_type))]
        nodes.append(NodePlan(name=name, index=len(nodes), use="", rate_hz=rate_hz, outputs=outputs))
    nodes.append(msgspec.structs.replace(control, index=len(nodes)))
    return msgspec.structs.replace(reference, nodes=nodes), fakes


def use(kind: type[Node]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def record(plan: Plan, folder: Path, nodes: dict[str, type[Node]] | None = None) -> Path:
    """Rehearse a plan and record every topic, as the recorder does."""
    path = folder / "run.mcap"
    recording = Recording(
        path,
        {"plan": msgspec.json.encode(plan).decode()},
        wall_offset_ns=0,
        jpeg_quality=80,
    )
    types = {topic: next(o.type for n in plan.nodes for o in n.outputs if o.topic == topic) for topic in plan.topics()}
    with Rehearsal(plan, folder, nodes) as rehearsal:
        how = Subscription(every=True, schema=None, next_index=0)
        listener = rehearsal.bus.subscriber(dict.fromkeys(types, how))
        rehearsal.run_for_s(DURATION_S)
        samples: list[Sample[Any]] = []

        def keep(topic: str, message: bytes, passed: object = None) -> None:
            head = unpack(message)
            value = MessageDecoder(kind_of(types[topic])).decode(message[HEADER_SIZE:])
            samples.append(Sample(value, topic, head.seq, head.epoch, head.sent_ns, head.origin_ns, head.valid))

        listener.drain(keep)
    for sample in sorted(samples, key=lambda sample: sample.sent_ns):
        recording.write(sample)
    recording.finish()
    return path


def kind_of(name: str) -> type[Message]:
    from cardan.runtime.registry import load_message_type

    return load_message_type(name, [])


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    yield first, second


def test_the_reference_controller_is_replayed_bit_for_bit(folders: tuple[Path, Path]) -> None:
    """Recorded inputs in, recorded outputs compared field by field: the real node with all its filters and timers."""
    plan, fakes = controller_plan()
    path = record(plan, folders[0], fakes)
    outcome = replay([path], ["control"], folders[1])
    assert outcome.trouble == ""
    (comparison,) = outcome.comparisons
    assert comparison.recorded == round(DURATION_S * 100) + 1
    assert comparison.is_same, comparison.first
    moving = {sample.value.steering_rad for sample in outcome.outputs["control/command"]}
    assert len(moving) > 100, "a controller that does nothing would be the same too"


def test_a_node_that_is_stepped_by_its_input_is_replayed_bit_for_bit(folders: tuple[Path, Path]) -> None:
    path = record(small_plan(), folders[0])
    outcome = replay([path], ["mean"], folders[1])
    (comparison,) = outcome.comparisons
    assert comparison.is_same, comparison.first
    assert (comparison.recorded, outcome.fed, outcome.unreadable) == (151, 302, 0)


def test_other_code_is_found_at_its_first_message(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(small_plan(), folders[0])
    step = Mean.step

    def drifting(self: Mean) -> None:
        if self.field.seq == 40:
            self.sum += 1e-9
        step(self)

    monkeypatch.setattr(Mean, "step", drifting)
    (comparison,) = replay([path], ["mean"], folders[1]).comparisons
    assert not comparison.is_same
    assert comparison.first is not None
    assert (comparison.first.number, comparison.first.field, comparison.equal) == (40, "x", 40)
    assert comparison.largest is not None
    assert abs(comparison.largest.replayed - comparison.largest.recorded) < 2e-9


def test_a_node_that_fails_in_a_replay_is_named(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(small_plan(), folders[0])

    def fail(self: Mean) -> None:
        raise RunError("no such thing", hint="look")

    monkeypatch.setattr(Mean, "step", fail)
    outcome = replay([path], ["mean"], folders[1])
    assert outcome.trouble == "no such thing - hint: look"
    assert not outcome.comparisons[0].is_same


def test_what_cannot_be_replayed_is_said(folders: tuple[Path, Path]) -> None:
    path = record(small_plan(), folders[0])
    with pytest.raises(RunError, match=r'no node "means" in the recording of replayed\n.*mean'):
        replay([path], ["means"], folders[1])
    (folders[0] / "none.mcap").write_bytes(b"x")
    with pytest.raises(RunError, match=r"none\.mcap does not hold the plan"):
        replay([folders[0] / "none.mcap"], ["mean"], folders[1])


def test_the_command_prints_a_verdict_and_writes_what_came_out(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = record(small_plan(), folders[0]), folders[1] / "new.mcap"
    assert main(["replay", str(path), "--node", "mean", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("the same as recorded  3.0 s, 302 messages fed")
    assert main(["replay", str(path), "--node", "mean", "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["same"] is True
    assert main(["replay", str(path)]) == 2
    assert "--node NAME, one of mean" in capsys.readouterr().err
    assert main(["replay", str(path), "--node", "mean", "--out", str(out)]) == 2
    assert main(["replay", str(folders[0] / "absent.mcap"), "--node", "mean"]) == 3
    assert main(["replay", str(path), "--node", "mean", "--rate", "fast"]) == 2
