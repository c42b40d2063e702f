"""The simulated vehicle as a node on a real bench bus, alone and with the bridge that drives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cardan.drivers.can.loopback import LoopbackChannel
from cardan.firmware_bridge.bridge import Bridge
from cardan.firmware_bridge.bridge_config import BridgeConfig
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.envelope import envelope_hash
from cardan.firmware_bridge.sim_vehicle import SimVehicle, SimVehicleConfig
from cardan.firmware_bridge.testing import LIMITS
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.errors import DeviceError
from cardan.runtime.messages import ActuatorCommand, BridgeVerdict, SimTruth
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.testing import Bench

pytest.importorskip("vehiclemodels", reason="commonroad-vehicle-models is not installed (extra: sim)")

TABLE: dict[str, dict[str, Any]] = {name: dict(limits) for name, limits in LIMITS.items()}
HASH = envelope_hash(TABLE)


@pytest.fixture
def vehicle(bus: CanChannelSettings) -> Iterator[Bench[SimVehicle]]:
    with Bench(SimVehicle, config=SimVehicleConfig(), can_channels={"vehicle": bus}) as made:
        yield made


def newest(vehicle: Bench[SimVehicle]) -> SimTruth:
    value = vehicle.sent("truth")[-1].value
    assert isinstance(value, SimTruth)
    return value


def test_the_vehicle_tells_the_truth_and_sends_its_sensors_in_every_step(
    vehicle: Bench[SimVehicle], bus: CanChannelSettings
) -> None:
    listener = LoopbackChannel(bus, vehicle.clock)
    vehicle.step(10)
    assert [frame.id for frame in listener.receive_batch()] == [0xB0, 0xB1, 0xB2, 0xB3] * 10
    assert [sample.value.step for sample in vehicle.sent("truth")] == list(range(1, 11))
    listener.close()


def test_the_driver_keeps_the_lane_while_nobody_engages(vehicle: Bench[SimVehicle]) -> None:
    vehicle.step(500)
    truth = newest(vehicle)
    assert truth.driver_in_control
    assert abs(truth.lane_offset_m) < 0.5
    assert truth.lead_gap_m > 5.0
    assert vehicle.metric("lane_error")[0] == 500
    assert vehicle.metric("lead_gap")[0] == 500


def test_time_that_was_lost_is_not_caught_up_in_one_step(vehicle: Bench[SimVehicle]) -> None:
    vehicle.step()
    before = newest(vehicle)
    vehicle.clock.advance_s(5.0)
    vehicle.step()
    assert newest(vehicle).road_s_m - before.road_s_m == pytest.approx(0.1 * before.speed_mps, rel=0.05)


def test_frames_that_the_bus_does_not_take_are_counted(
    vehicle: Bench[SimVehicle], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise DeviceError("full")

    monkeypatch.setattr(vehicle.node._channel, "send", refuse)
    vehicle.step()
    assert vehicle.metric("frames_unsent") == (1, 4.0)


def test_broken_actuator_frames_are_counted_and_not_followed(
    vehicle: Bench[SimVehicle], bus: CanChannelSettings
) -> None:
    peer = LoopbackChannel(bus, vehicle.clock, listen=False)
    steering = load_dbc(reference_dbc_path()).message("STEERING_COMMAND")
    for counter in range(5):
        data = steering.encode({"ENABLE": 1, "ROAD_WHEEL_ANGLE": 0.3}, counter)
        peer.send(steering.frame_id, data[:-1] + b"\x77")
        vehicle.step()
    assert vehicle.metric("frames_rejected") == (5, 5.0)
    assert newest(vehicle).driver_in_control
    peer.close()


class Loop:
    """Vehicle and bridge on one bus and one time, with a straight-ahead controller."""

    def __init__(self, bus: CanChannelSettings) -> None:
        channels = {"vehicle": bus}
        self.vehicle = Bench(SimVehicle, config=SimVehicleConfig(engage_after_s=1.0), can_channels=channels)
        self.bridge = Bench(Bridge, config=BridgeConfig(), envelope=TABLE, envelope_hash=HASH, can_channels=channels)
        self._cycle = 0

    def run(self, seconds: float, *, control: bool = True) -> None:
        for _ in range(round(seconds * 100)):
            self.vehicle.step()
            if control:
                truth = newest(self.vehicle)
                command = ActuatorCommand(
                    cycle=self._cycle, steering_rad=truth.steering_rad, accel_mps2=-0.5, envelope_hash=HASH
                )
                self.bridge.send("command", command)
                self._cycle += 1
            self.bridge.step()

    @property
    def verdict(self) -> BridgeVerdict:
        value = self.bridge.sent("verdict")[-1].value
        assert isinstance(value, BridgeVerdict)
        return value

    def close(self) -> None:
        self.bridge.close()
        self.vehicle.close()


@pytest.fixture
def loop(bus: CanChannelSettings) -> Iterator[Loop]:
    made = Loop(bus)
    yield made
    made.close()


def test_the_driver_engages_after_a_second_and_the_automation_drives(loop: Loop) -> None:
    loop.run(0.9)
    assert (loop.verdict.engagement, newest(loop.vehicle).driver_in_control) == ("disabled", True)
    loop.run(0.3)
    assert (loop.verdict.engagement, newest(loop.vehicle).driver_in_control) == ("enabled", False)
    loop.run(1.0)
    assert newest(loop.vehicle).accel_mps2 == pytest.approx(-0.5, abs=0.02)


def test_when_the_bridge_dies_the_driver_has_the_vehicle_within_100_ms(loop: Loop) -> None:
    loop.run(1.5)
    loop.vehicle.step(10)  # the last frame is received in the first of them
    assert [sample.value.driver_in_control for sample in loop.vehicle.sent("truth")[-10:]] == [False] * 10
    loop.vehicle.step()
    assert newest(loop.vehicle).driver_in_control


@pytest.mark.slow
def test_when_control_dies_the_vehicle_comes_to_a_stop_and_goes_back_to_the_driver(loop: Loop) -> None:
    loop.run(1.5)
    loop.run(11.5, control=False)
    stopped = [sample.value.speed_mps for sample in loop.vehicle.sent("truth")]
    assert min(stopped) < 0.1
    assert loop.bridge.metric("safe_stops") == (1, 1.0)
    accels = [sample.value.accel_mps2 for sample in loop.vehicle.sent("truth")]
    assert min(accels) > -2.6
    loop.run(2.0, control=False)
    assert "standstill" in {sample.value.cause for sample in loop.bridge.sent("verdict")}
    assert newest(loop.vehicle).driver_in_control


def test_a_driver_who_never_engages_stays_the_driver(bus: CanChannelSettings) -> None:
    config = SimVehicleConfig(engages=False)
    with Bench(SimVehicle, config=config, can_channels={"vehicle": bus}) as vehicle:
        listener = LoopbackChannel(bus, vehicle.clock)
        vehicle.step(300)
        driver = load_dbc(reference_dbc_path()).message("DRIVER_INPUTS")
        pressed = [
            driver.decode(frame.data)["ENGAGE_BUTTON"] for frame in listener.receive_batch(2000) if frame.id == 0xB0
        ]
        assert pressed == [0] * 300
        listener.close()


def test_closing_twice_is_fine(vehicle: Bench[SimVehicle]) -> None:
    vehicle.node.close()
