"""The simulated control units: they believe only good frames, and let go in time."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from cardan.firmware_bridge.dbc import Dbc, load_dbc
from cardan.firmware_bridge.sim_ecu import ActuatorEcu, Pedals, SensorEcu
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.messages import CanFrame, SimTruth

MS = 1_000_000


@pytest.fixture
def dbc() -> Dbc:
    return load_dbc(reference_dbc_path())


@pytest.fixture
def ecu(dbc: Dbc) -> ActuatorEcu:
    return ActuatorEcu(dbc.message("ACCEL_COMMAND"), "ACCELERATION")


def asked(dbc: Dbc, counter: int, at_ms: int, accel: float = 1.0, enable: int = 1) -> CanFrame:
    codec = dbc.message("ACCEL_COMMAND")
    data = codec.encode({"ACCELERATION": accel, "ENABLE": enable}, counter)
    return CanFrame("vehicle", codec.frame_id, data, at_ms * MS)


def test_an_actuator_belongs_to_the_driver_until_a_good_frame_asks_for_it(dbc: Dbc, ecu: ActuatorEcu) -> None:
    assert ecu.wish(10 * MS) is None
    ecu.receive(asked(dbc, 0, 10, enable=0))
    assert ecu.wish(10 * MS) is None
    ecu.receive(asked(dbc, 1, 20, accel=-0.5))
    assert ecu.wish(20 * MS) == -0.5


def test_it_lets_go_within_100_ms_of_the_last_good_frame(dbc: Dbc, ecu: ActuatorEcu) -> None:
    ecu.receive(asked(dbc, 0, 10))
    assert ecu.wish(100 * MS) == 1.0
    assert ecu.wish(100 * MS + 1) is None


def test_frames_with_a_wrong_checksum_or_a_frozen_counter_do_not_hold_it(dbc: Dbc, ecu: ActuatorEcu) -> None:
    ecu.receive(asked(dbc, 0, 10))
    for at_ms in range(20, 120, 10):
        ecu.receive(asked(dbc, 0, at_ms))
    good = asked(dbc, 1, 120)
    ecu.receive(CanFrame(good.channel, good.id, good.data[:-1] + b"\x09", good.stamp_ns))
    assert ecu.wish(120 * MS) is None
    assert ecu.rejected == 11


def test_frames_of_others_and_error_frames_are_not_meant(dbc: Dbc, ecu: ActuatorEcu) -> None:
    good = asked(dbc, 0, 10)
    ecu.receive(CanFrame("vehicle", 0x120, good.data, 10 * MS))
    ecu.receive(CanFrame("vehicle", good.id, good.data, 10 * MS, extended=True))
    ecu.receive(CanFrame("vehicle", good.id, good.data, 10 * MS, error=True))
    assert ecu.wish(10 * MS) is None
    assert ecu.rejected == 0


def truth(**changes: Any) -> SimTruth:
    numbers = {name: 0.0 for name, kind in get_type_hints(SimTruth).items() if kind is float}
    rest = {"step": 0, "centre_x_m": (), "centre_y_m": (), "lead_present": False, "driver_in_control": True}
    return SimTruth(**{**numbers, **rest, **changes})


def test_the_sensors_send_four_protected_messages_that_count_up(dbc: Dbc) -> None:
    sensors = SensorEcu(dbc)
    by_id = {dbc.message(name).frame_id: dbc.message(name) for name in dbc.names}
    for number in range(40):
        frames = sensors.frames(truth(), Pedals())
        assert [frame_id for frame_id, _ in frames] == [0xB0, 0xB1, 0xB2, 0xB3]
        for frame_id, data in frames:
            assert by_id[frame_id].intact(data)
            assert by_id[frame_id].counter(data) == number % 15


def test_the_driver_is_on_the_bus(dbc: Dbc) -> None:
    pedals = Pedals(brake=0.25, gas=0.5, engage=True, cancel=True, steering=True)
    (_, data), *_ = SensorEcu(dbc).frames(truth(), pedals)
    said = dbc.message("DRIVER_INPUTS").decode(data)
    switches = ("BRAKE_PRESSED", "GAS_PRESSED", "ENGAGE_BUTTON", "CANCEL_BUTTON", "STEERING_OVERRIDE", "VALID")
    assert [said[name] for name in switches] == [1] * 6
    assert (said["BRAKE_PEDAL"], said["GAS_PEDAL"], said["STEERING_TORQUE"]) == (25, 50, 3)


def test_a_sensor_saturates_at_the_end_of_its_range(dbc: Dbc) -> None:
    frames = SensorEcu(dbc).frames(truth(speed_mps=1e6, yaw_rate_radps=-99.0, steering_rad=9.0), Pedals())
    motion = dbc.message("MOTION").decode(frames[3][1])
    assert [motion["SPEED"], motion["YAW_RATE"]] == pytest.approx([130.0, -3.2])
    assert dbc.message("STEERING_ANGLE").decode(frames[2][1])["ROAD_WHEEL_ANGLE"] == pytest.approx(1.04)
