"""The bridge as a node, on a real bench bus: the vehicle's sensors on one end, what it sends on the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cardan.drivers.can.loopback import LoopbackChannel
from cardan.firmware_bridge.bridge import Bridge
from cardan.firmware_bridge.bridge_config import ActuatorConfig, BridgeConfig, PhaseConfig, SafeStopConfig
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.envelope import envelope_hash
from cardan.firmware_bridge.sim_ecu import Pedals, SensorEcu
from cardan.firmware_bridge.testing import LIMITS, truth
from cardan.firmware_bridge.vehicle_map import REFERENCE, VehicleMap, reference_dbc_path
from cardan.runtime.control_port import Answer, Ask, ask, port_path
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import ActuatorCommand, BridgeVerdict, CanFrame
from cardan.runtime.profile import CanChannelSettings, Profile, RealtimeSettings
from cardan.runtime.testing import Bench

TABLE: dict[str, dict[str, Any]] = {name: dict(limits) for name, limits in LIMITS.items()}
HASH = envelope_hash(TABLE)


class Road:
    """A bridge on a bench, and everything on the other end of its bus."""

    def __init__(
        self, bus: CanChannelSettings, *, data_dir: Path | None = None, profile: Profile | None = None, **config: Any
    ) -> None:
        self.bench = Bench(
            Bridge,
            config=BridgeConfig(**config),
            envelope=TABLE,
            envelope_hash=HASH,
            can_channels={"vehicle": bus},
            data_dir=data_dir,
            profile=profile,
        )
        self.vehicle = LoopbackChannel(bus, self.bench.clock)
        self.dbc = load_dbc(reference_dbc_path())
        self.sensors = SensorEcu(self.dbc)
        self.speed_mps = 20.0
        self._cycle = 0

    def step(
        self, pedals: Pedals | None = None, *, command: bool = True, sensors: bool = True, **values: float
    ) -> list[CanFrame]:
        """One period: sensors and control speak, the bridge steps; what it sent."""
        if sensors:
            for frame_id, data in self.sensors.frames(truth(self.speed_mps), pedals or Pedals()):
                self.vehicle.send(frame_id, data)
        if command:
            fields: dict[str, float] = {"steering_rad": 0.0, "accel_mps2": 0.0, **values}
            self.bench.send("command", ActuatorCommand(cycle=self._cycle, envelope_hash=HASH, **fields))
            self._cycle += 1
        self.bench.step()
        return self.vehicle.receive_batch()

    def engage(self) -> None:
        for pedals in (Pedals(), Pedals(engage=True), Pedals()):
            self.step(pedals)
        assert self.verdict.engagement == "enabled", self.verdict

    @property
    def verdict(self) -> BridgeVerdict:
        value = self.bench.sent("verdict")[-1].value
        assert isinstance(value, BridgeVerdict)
        return value

    def close(self) -> None:
        self.vehicle.close()
        self.bench.close()


@pytest.fixture
def road(bus: CanChannelSettings) -> Iterator[Road]:
    made = Road(bus)
    yield made
    made.close()


def test_until_the_driver_engages_the_bridge_answers_and_is_silent_on_the_bus(road: Road) -> None:
    for _ in range(20):
        assert road.step() == []
    assert len(road.bench.sent("verdict")) == 20
    assert (road.verdict.engagement, road.verdict.armed, road.verdict.cause) == ("disabled", False, "start")
    assert road.bench.sent("sent") == []


def test_before_any_command_the_verdict_is_of_none(road: Road) -> None:
    road.step(command=False)
    assert (road.verdict.cycle, road.verdict.reason) == (-1, "no-command")


def test_engaged_a_command_is_on_the_bus_in_its_own_period(road: Road) -> None:
    road.engage()
    frames = road.step(accel_mps2=0.05)
    assert [frame.id for frame in frames] == [0x120, 0x121, 0x122]
    assert road.dbc.message("ACCEL_COMMAND").decode(frames[1].data)["ACCELERATION"] == pytest.approx(0.05)
    assert road.dbc.message("BRIDGE_STATUS").decode(frames[2].data)["LIMITS_HASH"] == int(HASH[:8], 16)
    verdict = road.verdict
    assert (verdict.cycle, verdict.accepted, verdict.reason, verdict.armed) == (3, True, "ok", True)
    assert verdict.accel_mps2 == pytest.approx(0.05)


def test_what_was_sent_is_published_as_it_was_with_the_origin_of_the_command(road: Road) -> None:
    road.engage()
    origin_ns = road.bench.clock.now_ns() - 42_000_000
    road.bench.send(
        "command",
        ActuatorCommand(cycle=9, steering_rad=0.0, accel_mps2=0.0, envelope_hash=HASH),
        origin_ns=origin_ns,
    )
    frames = road.step(command=False)
    sample = road.bench.sent("sent")[-1]
    assert [(item.channel, item.id, item.data) for item in sample.value.frames] == [
        ("vehicle", frame.id, frame.data) for frame in frames
    ]
    assert (sample.origin_ns, sample.valid) == (origin_ns, True)


def test_a_clamped_command_is_counted_and_told(road: Road) -> None:
    road.engage()
    before = road.bench.metric("limited")[0]
    road.step(accel_mps2=2.0)
    assert (road.verdict.accepted, road.verdict.reason) == (False, "rate:accel_mps2")
    assert road.verdict.accel_mps2 == pytest.approx(0.1)
    assert road.bench.metric("limited")[0] == before + 1


def test_the_brake_wins_in_the_period_in_which_its_frame_arrives(road: Road) -> None:
    road.engage()
    frames = road.step(Pedals(brake=0.3))
    assert [
        road.dbc.message(name).decode(frame.data)["ENABLE"]
        for name, frame in zip(("STEERING_COMMAND", "ACCEL_COMMAND"), frames[:2], strict=True)
    ] == [0, 0]
    assert (road.verdict.engagement, road.verdict.cause) == ("disabled", "driver-brake")


def test_control_that_dies_leads_to_a_safe_stop_that_is_counted_once(road: Road) -> None:
    road.engage()
    for _ in range(200):
        road.step(command=False)
    assert road.verdict.engagement == "safe-stop"
    assert road.bench.metric("safe_stops") == (1, 1.0)
    assert road.bench.metric("soft_disables") == (1, 1.0)
    fault = road.bench.fault
    assert fault is not None
    assert fault[1:] == ("safe-stop", "not-recovered:command:stale")


def test_sensors_that_fall_silent_disable_softly_before_a_frame_relies_on_them_for_longer(road: Road) -> None:
    road.engage()
    for _ in range(2):
        road.step(sensors=False)
    assert road.verdict.engagement == "enabled"
    road.step(sensors=False)
    assert (road.verdict.engagement, road.verdict.cause[:11]) == ("soft-disabling", "bus:silent:")


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_jump_of_the_wall_clock_changes_nothing(road: Road, jump_s: float) -> None:
    road.engage()
    road.bench.clock.jump_wall_s(jump_s)
    for _ in range(50):
        assert len(road.step()) == 3
        assert (road.verdict.engagement, road.verdict.accepted) == ("enabled", True)


def test_another_sender_of_our_message_is_a_fault_in_one_frame(road: Road) -> None:
    road.engage()
    (steering, *_) = road.step()
    road.vehicle.send(steering.id, steering.data)
    assert road.step() == []
    assert (road.verdict.engagement, road.verdict.cause) == ("fault-latched", "second-sender:0x120")
    fault = road.bench.fault
    assert fault is not None
    assert fault[1] == "fault-latched"


def test_a_bridge_that_only_listens_follows_the_bus_and_sends_nothing(bus: CanChannelSettings) -> None:
    road = Road(bus, listen_only=True)
    road.vehicle.send(0x120, bytes(8))
    for pedals in [Pedals(), Pedals(engage=True)] + [Pedals()] * 60:
        assert road.step(pedals, steering_rad=0.0001) == []
    assert road.verdict.cause == "not-armed:listen-only (by configuration)"
    assert (road.verdict.reason, road.verdict.accepted) == ("disabled", False)
    road.close()


def test_a_bus_that_takes_no_frames_is_reported_once_and_latches(road: Road, monkeypatch: pytest.MonkeyPatch) -> None:
    from cardan.runtime.errors import DeviceError

    road.engage()

    def refuse(*_: object, **__: object) -> int:
        raise DeviceError("channel vehicle: the transmit queue is full")

    monkeypatch.setattr(road.bench.node._channel, "send", refuse)
    for _ in range(7):
        road.step()
    assert (road.verdict.engagement, road.verdict.cause) == ("fault-latched", "send-failed")
    fault = road.bench.fault
    assert fault is not None
    assert fault[1] == "can-send"


def stop_config(accel_mps2: float) -> SafeStopConfig:
    phase = PhaseConfig(name="firm", accel_mps2=accel_mps2, lasts_s=0.2)
    return SafeStopConfig(name="mine", uses=["steering_angle", "acceleration"], phases=[phase])


def test_the_safe_stop_of_the_manifest_is_used(bus: CanChannelSettings) -> None:
    road = Road(bus, safe_stop=[stop_config(-3.0)], soft_disable_s=0.2)
    road.engage()
    for _ in range(80):
        road.step(command=False)
    assert road.verdict.accel_mps2 == -3.0
    road.speed_mps = 0.0
    for _ in range(30):
        road.step(command=False)
    assert (road.verdict.engagement, road.verdict.cause) == ("disabled", "standstill")
    road.close()


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"safe_stop": [stop_config(1.0)]}, 'config.safe_stop: safe stop "mine", phase "firm": accel_mps2 is 1'),
        ({"actuators": {}}, "no actuator for steering_rad"),
        ({"actuators": {"steering_rad": ActuatorConfig(message="STEER", value="X")}}, "no actuator for accel_mps2"),
        ({"status": "BRIDGE_STATE"}, 'no message "BRIDGE_STATE"\n  hint: did you mean "BRIDGE_STATUS"'),
        ({"constants": {"MOTION.SPEED": 1.0}}, "MOTION.SPEED is in no message that the bridge sends"),
        (
            {"vehicle": VehicleMap(dbc="reference", signals={"speed_mps": REFERENCE.signals["speed_mps"]})},
            "the vehicle map has no brake_pressed, cancel_requested, engage_requested, steering_rad, accel_mps2",
        ),
        ({"channel": "body"}, 'no CAN channel "body"'),
    ],
)
def test_a_bridge_that_could_not_do_its_work_does_not_start(
    bus: CanChannelSettings, config: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Road(bus, **config)
    assert text in str(caught.value)


def test_without_an_envelope_there_is_no_bridge(bus: CanChannelSettings) -> None:
    with pytest.raises(ConfigError, match="the envelope has no signals"):
        Bench(Bridge, can_channels={"vehicle": bus})


def test_the_status_message_can_be_left_out(bus: CanChannelSettings) -> None:
    road = Road(bus, status="")
    road.engage()
    assert [frame.id for frame in road.step()] == [0x120, 0x121]
    road.close()


# ---------------------------------------------------------------------------------------------- a person at the bridge


def asked(road: Road, verb: Any, who: str = "ada") -> Answer:
    """What a person is told who asks now and waits for the next period."""
    path = port_path(road.bench.context.run_dir, "node")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, path, Ask(verb=verb, who=who), 5.0)
        while not answer.done():
            road.step()
    return answer.result()


def test_a_person_sees_every_arming_check_and_can_arm_and_disarm(road: Road) -> None:
    road.step()
    report = asked(road, "check")
    assert (report.engagement, [check.name for check in report.checks if not check.passed]) == ("disabled", [])
    assert asked(road, "arm").engagement in ("pre-enabled", "enabled")
    for _ in range(3):
        road.step()
    assert (road.verdict.engagement, road.verdict.cause) == ("enabled", "armed")
    assert asked(road, "disarm", "ada; rm").cause == "disengaged-by:ada--rm"
    assert road.verdict.engagement == "disabled"


def test_a_latched_fault_outlives_the_bridge_until_a_person_resets_it(bus: CanChannelSettings, tmp_path: Path) -> None:
    road = Road(bus, data_dir=tmp_path)
    road.engage()
    (steering, *_) = road.step()
    road.vehicle.send(steering.id, steering.data)
    road.step()
    road.close()
    road = Road(bus, data_dir=tmp_path)
    for pedals in [Pedals(), Pedals(engage=True)] + [Pedals()] * 60:
        assert road.step(pedals) == []
    assert (road.verdict.engagement, road.verdict.cause) == ("fault-latched", "second-sender:0x120")
    assert [check.name for check in asked(road, "arm").checks if not check.passed] == ["fault"]
    assert asked(road, "reset").cause == "reset-by:ada"
    road.engage()
    road.close()
    road = Road(bus, data_dir=tmp_path)
    road.engage()
    road.close()


def test_a_disk_that_takes_nothing_does_not_change_what_the_bridge_does(road: Road) -> None:
    (road.bench.context.data_dir / "node.latched").mkdir()
    road.engage()
    (steering, *_) = road.step()
    road.vehicle.send(steering.id, steering.data)
    assert road.step() == []
    assert road.verdict.engagement == "fault-latched"


def test_a_profile_that_demands_fifo_keeps_a_bridge_without_it_closed(
    bus: CanChannelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = os.SCHED_OTHER
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: policy)
    profile = Profile(name="test", realtime=RealtimeSettings(scheduler="fifo"))
    road = Road(bus, profile=profile)
    for pedals in [Pedals(), Pedals(engage=True)] + [Pedals()] * 60:
        assert road.step(pedals) == []
    assert road.verdict.cause == "not-armed:scheduler (SCHED_FIFO demanded, has SCHED_OTHER)"
    policy = os.SCHED_FIFO
    road.engage()
    road.close()


# ---------------------------------------------------------------------------------------------- what the bus confirms


class ConfirmingChannel(LoopbackChannel):
    """A bench channel that can tell what was on the bus, and can leave it out."""

    confirms = True

    def send(self, frame_id: int, data: bytes, **options: Any) -> int:
        stamp_ns = super().send(frame_id, data, **options)
        if self.confirms:
            self.__dict__.setdefault("kept", []).append(CanFrame(self.name, frame_id, data, stamp_ns))
        return stamp_ns

    def take_confirmed(self) -> list[CanFrame]:
        kept = self.__dict__.pop("kept", [])
        return kept if isinstance(kept, list) else []


def test_frames_that_the_bus_does_not_confirm_are_a_fault_after_five_periods(
    bus: CanChannelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardan.firmware_bridge.bridge.open_channel", ConfirmingChannel)
    road = Road(bus)
    road.engage()
    for _ in range(30):
        road.step()
    assert road.verdict.engagement == "enabled"
    assert road.bench.node._transmitted.confirmed >= 90
    monkeypatch.setattr(ConfirmingChannel, "confirms", False)
    for _ in range(6):
        road.step()
    assert road.verdict.engagement == "enabled"
    assert road.step() == []
    assert (road.verdict.engagement, road.verdict.cause) == ("fault-latched", "not-confirmed")
    road.close()


def test_a_controller_that_leaves_the_bus_is_a_fault_while_engaged_only(road: Road) -> None:
    def bus_off() -> None:
        road.vehicle.send(0x40, bytes(8), error=True)

    bus_off()
    road.engage()
    bus_off()
    assert road.step() == []
    assert (road.verdict.engagement, road.verdict.cause) == ("fault-latched", "bus-off")


# ---------------------------------------------------------------------------------------------- what takes no commands


def test_an_actuator_that_reports_that_it_is_not_ready_is_not_counted_on(road: Road) -> None:
    road.engage()
    for _ in range(105):
        road.step(Pedals(steering_ready=False))
    assert (road.verdict.engagement, road.verdict.cause) == ("safe-stop", "not-recovered:not-ready:steering_rad")
    frames = road.step(Pedals(steering_ready=False))
    assert [
        road.dbc.message(name).decode(frame.data)["ENABLE"]
        for name, frame in zip(("STEERING_COMMAND", "ACCEL_COMMAND"), frames[:2], strict=True)
    ] == [0, 1]


def test_an_actuator_whose_control_unit_is_silent_does_not_answer(road: Road) -> None:
    road.engage()
    ready = road.bench.node._is_ready
    now_ns = road.bench.clock.now_ns()
    assert ready("steering_ready", now_ns)
    assert ready("", now_ns)
    assert not ready("steering_ready", now_ns + 40_000_000)


def test_closing_twice_is_fine(road: Road) -> None:
    road.bench.node.close()
