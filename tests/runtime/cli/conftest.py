"""The small vehicle with vitals that a test fills by hand, and as a run that goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from tests.runtime.small_vehicle import make_plan

from cardan.runtime.bus.envelope import pack
from cardan.runtime.bus.ring import RingWriter
from cardan.runtime.bus.ring_ends import ring_path
from cardan.runtime.bus.ring_file import RingMap, create_ring, open_ring
from cardan.runtime.clock import FakeClock
from cardan.runtime.plan import Plan, write_plan
from cardan.runtime.run import hold_lock, new_run, point_current
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, SeriesKind, SeriesVitals, Vitals, create_vitals


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


class Active:
    """A run that looks active: plan, vitals, and a ring for each topic that a test fills."""

    def __init__(self, plan: Plan, page: Path, folder: Path) -> None:
        self.plan = plan
        self.paths = new_run(folder / "data", "20260101-000000")
        write_plan(plan, self.paths.plan)
        self.paths.vitals.hardlink_to(page)
        self._lock = hold_lock(self.paths)
        point_current(self.paths)
        self._rings: dict[str, tuple[RingMap, RingWriter]] = {}
        self._sent: dict[str, int] = {}

    def make_ring(self, topic: str, data_bytes: int = 1 << 16) -> None:
        """A ring that is empty yet."""
        path = ring_path(self.paths.bus, topic)
        create_ring(path, topic, data_bytes)
        ring = open_ring(path, writable=True)
        self._rings[topic] = ring, RingWriter(ring)

    def send(
        self,
        topic: str,
        value: Any = None,
        *,
        sent_ns: int = 1,
        origin_ns: int = 1,
        schema: int = 7,
        valid: bool = True,
    ) -> None:
        """Publish one message, of bytes as they are; makes the ring of the topic with its first."""
        if topic not in self._rings:
            self.make_ring(topic)
        seq = self._sent.get(topic, 0)
        self._sent[topic] = seq + 1
        header = pack(seq, sent_ns, origin_ns, schema, 1, valid=valid)
        self._rings[topic][1].write(header + (value if isinstance(value, bytes) else msgpack.packb(value)))

    def end(self) -> None:
        """The run is over: nobody holds its lock any more."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self) -> None:
        self.end()
        for ring, writer in self._rings.values():
            del writer
            ring.close()


@pytest.fixture
def active(plan: Plan, driven: Vitals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Active]:
    """The healthy drive of `driven` as a run that goes on."""
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))
    run = Active(plan, tmp_path / "vitals", tmp_path)
    yield run
    run.close()
