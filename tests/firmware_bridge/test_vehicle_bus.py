"""What a vehicle map makes of the frames of a bus."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cardan.firmware_bridge.dbc import Dbc, load_dbc
from cardan.firmware_bridge.vehicle_bus import VehicleBus
from cardan.firmware_bridge.vehicle_map import REFERENCE, Term, VehicleMap, open_map, reference_dbc_path
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CanFrame

MS = 1_000_000


@pytest.fixture
def dbc() -> Dbc:
    return load_dbc(reference_dbc_path())


def frame(
    dbc: Dbc, name: str, counter: int = 0, at_ms: int = 10, channel: str = "vehicle", **values: float
) -> CanFrame:
    codec = dbc.message(name)
    content = {item: 0.0 for item in codec.signals if item not in ("CRC", "COUNTER")}
    data = codec.encode({**content, "VALID": 1.0, **values}, counter)
    return CanFrame("vehicle", codec.frame_id, data, at_ms * MS)


def bus_of(vehicle: VehicleMap, dbc: Dbc, **max_age_s: float) -> VehicleBus:
    return VehicleBus(vehicle, dbc, channel="vehicle", max_age_s=max_age_s)


def test_numbers_are_sums_of_scaled_terms(dbc: Dbc) -> None:
    terms = [
        Term(signal="WHEEL_SPEEDS.FRONT_LEFT", scale=0.5),
        Term(signal="WHEEL_SPEEDS.REAR_LEFT", scale=0.5, offset=1.0),
    ]
    bus = bus_of(VehicleMap(dbc="reference", signals={"speed_mps": terms}), dbc)
    assert bus.receive(frame(dbc, "WHEEL_SPEEDS", FRONT_LEFT=10.0, REAR_LEFT=20.0))
    assert bus.number("speed_mps") == 16.0


def test_a_switch_is_on_when_any_term_is(dbc: Dbc) -> None:
    terms = [Term(signal="DRIVER_INPUTS.BRAKE_PRESSED"), Term(signal="DRIVER_INPUTS.BRAKE_PEDAL", scale=0.1)]
    bus = bus_of(VehicleMap(dbc="reference", signals={"brake_pressed": terms}), dbc)
    assert not bus.switch("brake_pressed")
    for counter, (pressed, pedal, on) in enumerate([(0, 0, False), (1, 0, True), (0, 6, True), (0, 4, False)]):
        bus.receive(frame(dbc, "DRIVER_INPUTS", counter, BRAKE_PRESSED=pressed, BRAKE_PEDAL=pedal))
        assert bus.switch("brake_pressed") is on


def test_what_has_not_come_is_no_number_and_no_switch(dbc: Dbc) -> None:
    bus = bus_of(REFERENCE, dbc)
    assert math.isnan(bus.number("speed_mps"))
    assert not bus.switch("brake_pressed")
    assert not bus.complete()
    assert bus.newest_ns == 0
    assert sorted(bus.problems(0)) == [
        "absent:DRIVER_INPUTS",
        "absent:MOTION",
        "absent:STEERING_ANGLE",
        "absent:WHEEL_SPEEDS",
    ]


def test_what_a_map_lacks_is_no_number_and_no_switch(dbc: Dbc) -> None:
    bus = bus_of(VehicleMap(dbc="reference", signals={"speed_mps": [Term(signal="MOTION.SPEED")]}), dbc)
    assert math.isnan(bus.number("accel_mps2"))
    assert not bus.switch("brake_pressed")
    assert bus.missing(["speed_mps", "accel_mps2", "brake_pressed"]) == ["accel_mps2", "brake_pressed"]


def test_the_bus_is_complete_when_every_message_has_come(dbc: Dbc) -> None:
    bus = bus_of(REFERENCE, dbc)
    for number, name in enumerate(("DRIVER_INPUTS", "WHEEL_SPEEDS", "STEERING_ANGLE", "MOTION")):
        assert not bus.complete()
        assert bus.receive(frame(dbc, name, at_ms=10 + number))
    assert bus.complete()
    assert bus.newest_ns == 13 * MS
    assert bus.problems(20 * MS) == []
    assert bus.totals() == (4, 0, 0)


def test_a_silent_message_is_a_problem_for_its_own_limit(dbc: Dbc) -> None:
    bus = bus_of(REFERENCE, dbc, MOTION=0.1)
    for name in ("DRIVER_INPUTS", "WHEEL_SPEEDS", "STEERING_ANGLE", "MOTION"):
        bus.receive(frame(dbc, name))
    assert sorted(bus.problems(100 * MS)) == [
        "silent:DRIVER_INPUTS",
        "silent:STEERING_ANGLE",
        "silent:WHEEL_SPEEDS",
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        {"channel": "radar"},
        {"error": True},
        {"id": 0x700},
        {"extended": True},
    ],
)
def test_frames_of_others_change_nothing(dbc: Dbc, foreign: dict[str, object]) -> None:
    bus = bus_of(REFERENCE, dbc)
    good = frame(dbc, "MOTION", SPEED=9.0)
    fields = {"channel": good.channel, "id": good.id, "data": good.data, "stamp_ns": good.stamp_ns, **foreign}
    assert not bus.receive(CanFrame(**fields))  # type: ignore[arg-type] # mixed values
    assert bus.totals() == (0, 0, 0)


def test_a_frame_whose_checksum_is_wrong_changes_no_quantity(dbc: Dbc) -> None:
    bus = bus_of(REFERENCE, dbc)
    bus.receive(frame(dbc, "MOTION", 0, SPEED=9.0))
    wrong = frame(dbc, "MOTION", 1, SPEED=12.0)
    assert not bus.receive(CanFrame("vehicle", wrong.id, wrong.data[:-1] + b"\x55", wrong.stamp_ns))
    assert bus.number("speed_mps") == 9.0
    assert bus.totals() == (1, 1, 0)


def test_further_messages_can_be_watched_without_being_needed(dbc: Dbc) -> None:
    vehicle = VehicleMap(dbc="reference", signals={"speed_mps": [Term(signal="MOTION.SPEED")]}, verify=["WHEEL_SPEEDS"])
    bus = bus_of(vehicle, dbc)
    wheels = frame(dbc, "WHEEL_SPEEDS", 3)
    bus.receive(wheels)
    bus.receive(wheels)
    bus.receive(frame(dbc, "MOTION"))
    assert bus.complete()
    assert bus.totals() == (2, 0, 1)
    assert bus.problems(20 * MS) == []


@pytest.mark.parametrize(
    ("signals", "text"),
    [
        ({"sped_mps": [Term(signal="MOTION.SPEED")]}, 'unknown quantity "sped_mps"\n  hint: did you mean "speed_mps"'),
        ({"speed_mps": [Term(signal="MOTON.SPEED")]}, 'no message "MOTON"\n  hint: did you mean "MOTION"'),
        ({"speed_mps": [Term(signal="MOTION.SPED")]}, 'no signal "SPED"\n  hint: did you mean "SPEED"'),
    ],
)
def test_a_map_that_names_what_does_not_exist_is_refused(dbc: Dbc, signals: dict[str, list[Term]], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bus_of(VehicleMap(dbc="reference", signals=signals), dbc)
    assert text in str(caught.value)


def test_a_map_is_found_by_name_or_taken_as_it_is(tmp_path: Path) -> None:
    vehicle, dbc = open_map("reference", tmp_path)
    assert (vehicle, dbc.path) == (REFERENCE, reference_dbc_path())
    (tmp_path / "own.dbc").write_text(reference_dbc_path().read_text())
    vehicle, dbc = open_map(VehicleMap(dbc="own.dbc"), tmp_path)
    assert dbc.path == tmp_path / "own.dbc"


def test_a_map_can_lie_in_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "own.dbc").write_text(reference_dbc_path().read_text())
    monkeypatch.setenv("CARDAN_DATA", str(tmp_path))
    assert open_map(VehicleMap(dbc="own.dbc", data="set"), Path("/"))[1].path == tmp_path / "set" / "own.dbc"


def test_an_unknown_vehicle_names_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='no vehicle "refrence"\n  hint: did you mean "reference"'):
        open_map("refrence", tmp_path)


def test_a_quantity_answers_while_every_message_behind_it_may_be_believed(dbc: Dbc) -> None:
    bus = bus_of(REFERENCE, dbc)
    assert not bus.answers("steering_ready", 10 * MS)
    bus.receive(frame(dbc, "STEERING_ANGLE", READY=1.0))
    assert bus.answers("steering_ready", 40 * MS)
    assert not bus.answers("steering_ready", 41 * MS)
    assert bus.has("steering_ready")
    assert not bus.has("grip")
    assert bus.answers("grip", 41 * MS)


def test_a_vehicle_can_say_which_signal_tells_the_quality_of_a_message(dbc: Dbc) -> None:
    vehicle = VehicleMap(
        dbc="reference",
        signals={
            "speed_mps": [Term(signal="MOTION.SPEED")],
            "steering_rad": [Term(signal="STEERING_ANGLE.ROAD_WHEEL_ANGLE")],
        },
        quality=[Term(signal="STEERING_ANGLE.READY"), Term(signal="MOTION.YAW_RATE", scale=-1.0, offset=1.0)],
    )
    bus = bus_of(vehicle, dbc)
    assert not bus.receive(frame(dbc, "STEERING_ANGLE"))
    assert bus.receive(frame(dbc, "STEERING_ANGLE", 1, READY=1.0))
    assert bus.receive(frame(dbc, "MOTION", VALID=0.0, SPEED=3.0))
    assert not bus.receive(frame(dbc, "MOTION", 1, YAW_RATE=2.0))
    assert bus.number("speed_mps") == 3.0
