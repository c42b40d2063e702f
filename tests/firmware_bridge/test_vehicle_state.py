"""VehicleStateDecoder: from frames to the state of the vehicle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest

from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.sim_ecu import Pedals, SensorEcu
from cardan.firmware_bridge.vehicle_map import Term, VehicleMap, reference_dbc_path
from cardan.firmware_bridge.vehicle_state import NEEDED, VehicleStateConfig, VehicleStateDecoder
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CanFrame, CanFrames, SimTruth, VehicleState
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.testing import Bench

CHANNELS = {"vehicle": CanChannelSettings(name="vehicle")}


def truth(**changes: Any) -> SimTruth:
    numbers = {name: 0.0 for name, kind in get_type_hints(SimTruth).items() if kind is float}
    fields: dict[str, Any] = {
        **numbers,
        "step": 0,
        "lane_width_m": 3.5,
        "centre_x_m": (),
        "centre_y_m": (),
        "lead_present": False,
        "driver_in_control": True,
    }
    return SimTruth(**{**fields, **changes})


@pytest.fixture
def bench() -> Iterator[Bench[VehicleStateDecoder]]:
    with Bench(VehicleStateDecoder, config=VehicleStateConfig(), rate_hz=100, can_channels=CHANNELS) as made:
        yield made


@pytest.fixture
def sensors() -> SensorEcu:
    return SensorEcu(load_dbc(reference_dbc_path()))


def deliver(bench: Bench[VehicleStateDecoder], frames: list[tuple[int, bytes]]) -> None:
    now_ns = bench.clock.now_ns()
    bench.send("frames", CanFrames(frames=[CanFrame("vehicle", number, data, now_ns) for number, data in frames]))
    bench.step()


def newest(bench: Bench[VehicleStateDecoder]) -> VehicleState:
    value = bench.sent("vehicle")[-1].value
    assert isinstance(value, VehicleState)
    return value


def test_the_state_is_what_the_sensors_said(bench: Bench[VehicleStateDecoder], sensors: SensorEcu) -> None:
    now_ns = bench.clock.now_ns()
    moving = truth(speed_mps=20.0, steering_rad=0.05, yaw_rate_radps=0.2, accel_mps2=-1.5)
    deliver(bench, sensors.frames(moving, Pedals(brake=0.5, engage=True)))
    state = newest(bench)
    assert state.stamp_ns == now_ns
    assert state.speed_mps == 20.0
    assert state.wheel_speed_mps == pytest.approx((19.85, 20.15, 19.85, 20.15), abs=0.011)
    assert [state.steering_rad, state.steering_wheel_rad] == pytest.approx([0.05, 0.8])
    assert [state.yaw_rate_radps, state.accel_mps2] == pytest.approx([0.2, -1.5])
    assert (state.brake_pressed, state.gas_pressed) == (True, False)
    assert (state.engage_requested, state.cancel_requested) == (True, False)
    assert (state.frames_decoded, state.checksum_failures, state.counter_failures) == (4, 0, 0)
    assert bench.sent("vehicle")[-1].valid


def test_nothing_is_published_before_every_quantity_has_been_seen(
    bench: Bench[VehicleStateDecoder], sensors: SensorEcu
) -> None:
    frames = sensors.frames(truth(), Pedals())
    deliver(bench, frames[:3])
    assert bench.sent("vehicle") == []
    deliver(bench, frames[3:])
    assert len(bench.sent("vehicle")) == 1


def test_one_state_for_each_batch_of_frames(bench: Bench[VehicleStateDecoder], sensors: SensorEcu) -> None:
    for number in range(20):
        deliver(bench, sensors.frames(truth(speed_mps=0.1 * number), Pedals()))
    bench.step(5)
    assert [sample.value.speed_mps for sample in bench.sent("vehicle")] == pytest.approx(
        [0.1 * number for number in range(20)], abs=0.003
    )


def test_a_frame_with_a_wrong_checksum_is_counted_and_changes_nothing(
    bench: Bench[VehicleStateDecoder], sensors: SensorEcu
) -> None:
    deliver(bench, sensors.frames(truth(speed_mps=10.0), Pedals()))
    *others, (number, data) = sensors.frames(truth(speed_mps=30.0), Pedals())
    deliver(bench, [*others, (number, bytes((data[0] ^ 1, *data[1:])))])
    state = newest(bench)
    assert (state.speed_mps, state.checksum_failures) == (10.0, 1)
    assert bench.metric("checksum_failures") == (1, 1.0)
    assert bench.metric("counter_failures") == (0, 0.0)


def test_a_repeated_counter_is_counted(bench: Bench[VehicleStateDecoder], sensors: SensorEcu) -> None:
    frames = sensors.frames(truth(), Pedals())
    deliver(bench, frames)
    deliver(bench, [*frames, *sensors.frames(truth(), Pedals())])
    assert newest(bench).counter_failures == 4
    assert bench.metric("counter_failures") == (1, 4.0)


def test_the_state_is_invalid_while_one_of_its_messages_is_silent(
    bench: Bench[VehicleStateDecoder], sensors: SensorEcu
) -> None:
    deliver(bench, sensors.frames(truth(), Pedals()))
    for _ in range(4):
        deliver(bench, sensors.frames(truth(), Pedals())[1:])
    assert [sample.valid for sample in bench.sent("vehicle")] == [True, True, True, False, False]
    deliver(bench, sensors.frames(truth(), Pedals()))
    assert bench.sent("vehicle")[-1].valid


def test_a_vehicle_map_can_stand_in_the_manifest() -> None:
    signals = {name: [Term(signal="MOTION.SPEED")] for name in NEEDED}
    config = VehicleStateConfig(vehicle=VehicleMap(dbc=str(reference_dbc_path()), signals=signals))
    with Bench(VehicleStateDecoder, config=config, can_channels=CHANNELS) as bench:
        motion = SensorEcu(load_dbc(reference_dbc_path())).frames(truth(speed_mps=2.0), Pedals())[3:]
        deliver(bench, motion)
        assert newest(bench).yaw_rate_radps == 2.0


def test_a_map_that_lacks_a_quantity_is_refused() -> None:
    config = VehicleStateConfig(vehicle=VehicleMap(dbc=str(reference_dbc_path())))
    with pytest.raises(ConfigError, match="the vehicle map has no speed_mps, wheel_front_left_mps"):
        Bench(VehicleStateDecoder, config=config, can_channels=CHANNELS)


@pytest.mark.parametrize(
    ("channels", "name", "text"),
    [
        ({}, "", "the profile has 0 CAN channels\n  hint: set config.channel of node to one of: none"),
        ({"a": CanChannelSettings(), "b": CanChannelSettings()}, "", "the profile has 2 CAN channels"),
        (CHANNELS, "vehikle", 'no CAN channel "vehikle" in the profile\n  hint: set config.channel of node to one of'),
    ],
)
def test_a_channel_that_is_not_clear_is_refused(channels: dict[str, CanChannelSettings], name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Bench(VehicleStateDecoder, config=VehicleStateConfig(channel=name), can_channels=channels)
    assert text in str(caught.value)
