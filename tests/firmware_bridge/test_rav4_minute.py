"""The recorded minute of a real car: every decoded value equals the data set's own, and no frame is refused wrongly."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from cardan.firmware_bridge.vehicle_bus import VehicleBus
from cardan.firmware_bridge.vehicle_map import open_map
from cardan.runtime.data import find_data
from cardan.runtime.errors import ConfigError
from cardan.runtime.messages import CanFrame

HERE = Path(__file__).resolve().parent
WHEELS_ID, STEERING_ID = 0xAA, 0x25


@pytest.fixture(scope="module")
def data() -> Path:
    try:
        return find_data("rav4_minute", HERE)
    except ConfigError as error:
        pytest.skip(error.message)


def frames(data: Path) -> Iterator[CanFrame]:
    with gzip.open(data / "candump.log.gz", "rt") as log:
        for line in log:
            stamp, channel, text, _ = line.split()
            number, payload = text.split("#")
            stamp_ns = int(stamp[1:-1].replace(".", "")) * 1000
            yield CanFrame(channel, int(number, 16), bytes.fromhex(payload), stamp_ns)


def rows(path: Path) -> list[list[float]]:
    with path.open(newline="") as file:
        return [[float(item) for item in row] for row in list(csv.reader(file))[1:]]


@pytest.mark.slow
def test_the_recorded_minute_decodes_to_the_ground_truth(data: Path) -> None:
    vehicle, dbc = open_map("toyota_rav4_2017", HERE)
    bus = VehicleBus(vehicle, dbc, channel="can0", max_age_s={})
    wheels: list[tuple[float, ...]] = []
    speeds: list[float] = []
    angles: list[float] = []
    count = 0
    for frame in frames(data):
        count += 1
        if not bus.receive(frame):
            continue
        if frame.id == WHEELS_ID:
            places = ("front_left", "front_right", "rear_left", "rear_right")
            wheels.append(tuple(bus.number(f"wheel_{place}_mps") for place in places))
            speeds.append(bus.number("speed_mps"))
        elif frame.id == STEERING_ID:
            angles.append(math.degrees(bus.number("steering_wheel_rad")))
    assert count == 135_468
    assert len(wheels) == len(angles) == 4974
    for ours, row in zip(wheels, rows(data / "wheel_speed_mps.csv"), strict=True):
        assert ours == pytest.approx(row[1:], abs=1e-6)
    for speed, row in zip(speeds, rows(data / "speed_mps.csv"), strict=True):
        assert speed == pytest.approx(row[1], abs=1e-6)
    for angle, row in zip(angles, rows(data / "steering_angle_deg.csv"), strict=True):
        assert angle == pytest.approx(row[1], abs=1e-6)
    assert {
        name: message.checksum_failures for name, message in bus.messages.items() if message.checksum_failures
    } == {}


@pytest.mark.slow
def test_the_only_wrong_counters_are_frames_that_the_recording_has_in_the_wrong_order(data: Path) -> None:
    vehicle, dbc = open_map("toyota_rav4_2017", HERE)
    bus = VehicleBus(vehicle, dbc, channel="can0", max_age_s={})
    counters = []
    for frame in frames(data):
        bus.receive(frame)
        if frame.channel == "can0" and frame.id == dbc.message("STEERING_LKA").frame_id:
            counters.append(dbc.message("STEERING_LKA").counter(frame.data))
    steps = [(late - early) % 64 for early, late in pairwise(counters)]
    assert steps.count(63) == 4  # a frame that was sent one place earlier
    failures = {name: message.counter_failures for name, message in bus.messages.items() if message.counter_failures}
    assert failures == {"STEERING_LKA": 4}


@pytest.mark.slow
def test_the_driver_lifts_the_foot_and_engages_once_in_the_recorded_minute(data: Path) -> None:
    vehicle, dbc = open_map("toyota_rav4_2017", HERE)
    bus = VehicleBus(vehicle, dbc, channel="can0", max_age_s={})
    edges, before, start_ns = [], (False, False), 0
    for frame in frames(data):
        start_ns = start_ns or frame.stamp_ns
        bus.receive(frame)
        now = (bus.switch("gas_pressed"), bus.switch("engage_requested"))
        if now != before:
            edges.append((round((frame.stamp_ns - start_ns) / 1e9, 2), now))
            before = now
    assert edges == [(0.0, (True, False)), (8.76, (False, False)), (9.02, (False, True))]
    assert not bus.switch("brake_pressed")
