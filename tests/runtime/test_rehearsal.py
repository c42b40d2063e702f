from __future__ import annotations

import os
from pathlib import Path

import pytest

from cardan.runtime.errors import BusError, NodeError
from cardan.runtime.messages import Message, type_name
from cardan.runtime.node import Input, Node, Output
from cardan.runtime.plan import InputPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.rehearsal import Rehearsal


class Count(Message, frozen=True, kw_only=True):
    n: int


class Source(Node):
    out = Output(Count)

    def open(self) -> None:
        self.n = 0

    def step(self) -> None:
        self.out.send(Count(n=self.n))
        self.n += 1
        if self.n == 1000:
            self.finish()


class Doubler(Node):
    stepped_by = "count"
    count = Input(Count, max_age_s=0.1)
    out = Output(Count)

    def step(self) -> None:
        self.out.send(Count(n=2 * self.count.value.n))


class Sink(Node):
    doubled = Input(Count, queue=100)

    def open(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def step(self) -> None:
        self.seen += [(self.clock.now_ns(), sample.value.n) for sample in self.doubled.take()]


class Device(Node):
    def open(self) -> None:
        self.descriptor = os.eventfd(0)
        self.wake_on(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


NODES: dict[str, type[Node]] = {"source": Source, "doubler": Doubler, "sink": Sink}


def plan(*nodes: NodePlan) -> Plan:
    return Plan(
        name="rehearsal",
        manifest="",
        manifest_sha256="",
        profile=Profile(name="test"),
        envelope={},
        envelope_hash="",
        nodes=list(nodes),
    )


def chain() -> Plan:
    kind = type_name(Count)
    return plan(
        NodePlan(
            name="source",
            index=0,
            use="",
            rate_hz=100.0,
            outputs=[OutputPlan(port="out", topic="source/out", type=kind)],
        ),
        NodePlan(
            name="doubler",
            index=1,
            use="",
            stepped_by="count",
            inputs=[InputPlan(port="count", topics=["source/out"], max_age_s=0.1)],
            outputs=[OutputPlan(port="out", topic="doubler/out", type=kind)],
        ),
        NodePlan(
            name="sink",
            index=2,
            use="",
            rate_hz=50.0,
            inputs=[InputPlan(port="doubled", topics=["doubler/out"], queue=100)],
        ),
    )


def test_messages_travel_through_a_chain_of_nodes_in_the_order_of_their_deadlines(tmp_path: Path) -> None:
    with Rehearsal(chain(), tmp_path, NODES) as rehearsal:
        start_ns = rehearsal.clock.now_ns()
        rehearsal.run_for_s(0.1)
        seen = rehearsal.node("sink").seen
        assert [n for _, n in seen] == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
        assert [(stamp - start_ns) // 1_000_000 for stamp, _ in seen] == [0, 20, 20, 40, 40, 60, 60, 80, 80, 100, 100]
        assert rehearsal.node("doubler").count.valid


def test_two_rehearsals_are_the_same(tmp_path: Path) -> None:
    outcomes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with Rehearsal(chain(), tmp_path / name, NODES) as rehearsal:
            rehearsal.run_for_s(0.33)
            outcomes.append((rehearsal.node("sink").seen, rehearsal.clock.now_ns()))
    assert outcomes[0] == outcomes[1]


def test_a_node_that_has_finished_is_stepped_no_more(tmp_path: Path) -> None:
    with Rehearsal(chain(), tmp_path, NODES) as rehearsal:
        rehearsal.run_for_s(20.0)
        assert rehearsal.node("source").n == 1000
        assert len(rehearsal.node("sink").seen) == 1000


def test_a_node_that_waits_for_a_device_is_refused_and_closed(tmp_path: Path) -> None:
    device = NodePlan(name="device", index=0, use="")
    with pytest.raises(NodeError, match='"device" waits for a device'):
        Rehearsal(plan(device), tmp_path, {"device": Device})


def test_a_topic_of_another_type_is_refused(tmp_path: Path) -> None:
    class Other(Message, frozen=True, kw_only=True):
        n: float

    class Mistaken(Node):
        doubled = Input(Other, queue=100)

    with pytest.raises(BusError, match="another message type"):
        Rehearsal(chain(), tmp_path, {**NODES, "sink": Mistaken})
