"""When systemd and the hardware watchdog are fed, on vitals that the test writes and a clock that it moves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.clock import FakeClock, ns
from cardan.runtime.errors import DeviceError
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.profile import Profile, WatchdogSettings
from cardan.runtime.supervise.events import Code
from cardan.runtime.supervise.lifeline import Lifeline
from cardan.runtime.supervise.notify import ServiceWishes
from cardan.runtime.vitals import NodeState, NodeVitals, RunState, Vitals, create_vitals

DEVICE = "/dev/watchdog7"


class FakeDevice:
    """A watchdog that counts."""

    def __init__(self, path: str, timeout_s: int) -> None:
        self.path, self.timeout_s = path, timeout_s
        self.fed = 0
        self.disarmed = False

    def feed(self) -> bool:
        self.fed += 1
        return True

    def disarm(self) -> None:
        self.disarmed = True


class World:
    """A run with one critical and one other node, a service manager, and a watchdog."""

    def __init__(self, folder: Path, open_device: Any = None) -> None:
        nodes = [
            NodePlan(name="bridge", index=0, use="x:B", critical=True),
            NodePlan(name="recorder", index=1, use="x:R"),
        ]
        self.plan = Plan(
            name="test",
            manifest="/vehicle.toml",
            manifest_sha256="",
            profile=Profile(name="test", watchdog=WatchdogSettings(device=DEVICE, timeout_s=10)),
            envelope={},
            envelope_hash="",
            nodes=nodes,
        )
        self.clock = FakeClock()
        self.vitals = create_vitals(folder / "vitals", self.plan, now_ns=1, wall_ns=1)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(folder / "notify"))
        self.manager.setblocking(False)
        self.events: list[tuple[Code, dict[str, Any]]] = []
        self.devices: list[FakeDevice] = []
        wishes = ServiceWishes(str(folder / "notify"), ns(2.0))
        self.lifeline = Lifeline(self.plan, self.vitals, wishes, self._note, open_device or self._open)

    def _open(self, path: str, timeout_s: int) -> FakeDevice:
        self.devices.append(FakeDevice(path, timeout_s))
        return self.devices[-1]

    def _note(self, code: Code, **fields: Any) -> None:
        code.text.format(**fields)
        self.events.append((code, fields))

    def stand(self, run: RunState, bridge: NodeState, recorder: NodeState = NodeState.RUNNING) -> None:
        self.vitals.words[Vitals.RUN_STATE] = run
        for name, state in (("bridge", bridge), ("recorder", recorder)):
            self.vitals.nodes[name].words[NodeVitals.STATE] = state

    def run_for(self, seconds: float) -> list[str]:
        """Look every 50 ms; what the service manager was told, statuses left out."""
        for _ in range(round(seconds / 0.05)):
            self.clock.advance_ns(ns(0.05))
            self.lifeline.look(self.clock.now_ns())
        return [line for line in self.told() if not line.startswith("STATUS=")]

    def told(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.manager.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.lifeline.close()
    made.vitals.close()
    made.manager.close()


def running(world: World) -> World:
    world.stand(RunState.RUNNING, NodeState.RUNNING)
    world.run_for(0.05)
    return world


def test_ready_is_said_when_the_run_has_begun_and_not_before(world: World) -> None:
    world.stand(RunState.STARTING, NodeState.STARTING)
    assert world.run_for(1.0) == []
    world.stand(RunState.STARTING, NodeState.READY)
    assert world.run_for(1.0) == []
    assert world.devices == []
    world.stand(RunState.RUNNING, NodeState.RUNNING)
    assert world.run_for(0.05) == ["READY=1", "WATCHDOG=1"]
    assert world.devices[0].fed == 1


def test_a_degraded_run_is_ready_when_its_critical_nodes_are(world: World) -> None:
    world.stand(RunState.DEGRADED, NodeState.RUNNING, NodeState.FAILED)
    assert world.run_for(0.05) == ["READY=1", "WATCHDOG=1"]


def test_a_run_that_failed_before_it_began_is_never_ready(world: World) -> None:
    world.stand(RunState.FAILED, NodeState.FAILED)
    assert world.run_for(5.0) == []


def test_systemd_is_fed_at_half_its_interval_and_the_hardware_at_half_its_own(world: World) -> None:
    running(world)
    assert world.run_for(10.0) == ["WATCHDOG=1"] * 10
    assert world.devices[0].fed == 3
    assert (world.devices[0].path, world.devices[0].timeout_s) == (DEVICE, 10)


@pytest.mark.parametrize(
    "state", [NodeState.HUNG, NodeState.BACKING_OFF, NodeState.STARTING, NodeState.WAITING, NodeState.FAILED]
)
def test_nobody_is_fed_while_a_critical_node_is_down(world: World, state: NodeState) -> None:
    running(world)
    world.stand(RunState.DEGRADED, state)
    assert world.run_for(20.0) == []
    assert world.devices[0].fed == 1
    world.stand(RunState.RUNNING, NodeState.RUNNING)
    assert world.run_for(0.05) == ["WATCHDOG=1"]
    assert world.devices[0].fed == 2


def test_a_node_that_is_not_critical_may_be_down(world: World) -> None:
    running(world)
    world.stand(RunState.DEGRADED, NodeState.RUNNING, NodeState.FAILED)
    assert world.run_for(3.0) == ["WATCHDOG=1"] * 3


def test_an_orderly_stop_is_said_once_and_feeds_on(world: World) -> None:
    running(world)
    world.stand(RunState.STOPPING, NodeState.STOPPING)
    assert world.run_for(2.0) == ["STOPPING=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert not world.devices[0].disarmed
    world.stand(RunState.STOPPED, NodeState.FINISHED, NodeState.FINISHED)
    world.lifeline.close()
    assert world.devices[0].disarmed
    assert world.told() == ["STATUS=stopped"]


def test_the_status_is_told_when_it_changes(world: World) -> None:
    world.stand(RunState.STARTING, NodeState.READY, NodeState.STARTING)
    world.lifeline.look(world.clock.now_ns())
    assert world.told() == ["STATUS=starting: 1 of 2 nodes ready"]
    running(world)
    world.lifeline.look(world.clock.now_ns())
    assert world.told() == []
    world.stand(RunState.DEGRADED, NodeState.RUNNING, NodeState.BACKING_OFF)
    world.lifeline.look(world.clock.now_ns())
    assert world.told() == ["STATUS=degraded: recorder is backing-off"]
    world.vitals.report_cause(5, 'critical node "bridge" failed: hung')
    world.vitals.nodes["bridge"].report_fault(3, "crash", "ValueError: no")
    world.stand(RunState.FAILED, NodeState.FAILED)
    world.lifeline.look(world.clock.now_ns())
    assert world.told() == ["STATUS=failed: bridge is failed: bridge: ValueError: no"]


def test_a_manager_that_does_not_read_is_told_later(world: World) -> None:
    world.stand(RunState.STARTING, NodeState.READY)
    world.lifeline.look(world.clock.now_ns())
    path = world.manager.getsockname()
    world.manager.close()
    Path(path).unlink()
    world.stand(RunState.RUNNING, NodeState.RUNNING)
    world.lifeline.look(world.clock.now_ns())
    assert world.devices == []
    world.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    world.manager.bind(path)
    world.manager.setblocking(False)
    assert world.run_for(0.05) == ["READY=1", "WATCHDOG=1"]


def test_a_watchdog_that_cannot_be_armed_is_an_event_and_stops_nothing(tmp_path: Path) -> None:
    def refuse(path: str, timeout_s: int) -> FakeDevice:
        raise DeviceError(f"cannot open {path}", hint="who holds it?")

    world = World(tmp_path, refuse)
    running(world)
    assert world.events == [(Code.WATCHDOG_MISSING, {"error": f"cannot open {DEVICE}; hint: who holds it?"})]
    assert world.run_for(2.0) == ["WATCHDOG=1"] * 2
    world.lifeline.close()
    world.vitals.close()
    world.manager.close()


def test_the_time_out_that_the_hardware_took_is_an_event(tmp_path: Path) -> None:
    world = World(tmp_path, lambda path, _: FakeDevice(path, 16))
    running(world)
    assert world.events == [(Code.WATCHDOG_ARMED, {"device": DEVICE, "timeout_s": 16, "wished_s": 10})]
    world.lifeline.close()
    world.vitals.close()
    world.manager.close()
