import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from cardan.runtime.messages import BridgeVerdict, RoadView, VehicleState
from cardan.runtime.reference.control import LaneCruise
from cardan.runtime.testing import Bench

STATIONS = (6.0, 10.0, 20.0, 40.0)


def vehicle(speed_mps: float = 20.0, **changes: Any) -> VehicleState:
    fields: dict[str, Any] = {
        "stamp_ns": 0,
        "speed_mps": speed_mps,
        "wheel_speed_mps": (speed_mps,) * 4,
        "steering_rad": 0.0,
        "steering_wheel_rad": 0.0,
        "yaw_rate_radps": 0.0,
        "accel_mps2": 0.0,
        "brake_pressed": False,
        "gas_pressed": False,
        "engage_requested": False,
        "cancel_requested": False,
        "frames_decoded": 1,
        "checksum_failures": 0,
        "counter_failures": 0,
    }
    return VehicleState(**(fields | changes))


def road(centre_m: float = 0.0, lane: float = 1.0, gap_m: float = 0.0) -> RoadView:
    return RoadView(
        status="ok",
        frame_id=1,
        model="",
        start_ns=0,
        end_ns=0,
        x_m=STATIONS,
        left_y_m=(centre_m + 1.75,) * 4,
        right_y_m=(centre_m - 1.75,) * 4,
        lane_probability=lane,
        lead_probability=1.0 if gap_m else 0.0,
        lead_gap_m=gap_m,
        lead_y_m=0.0,
        dropped=0,
    )


@pytest.fixture
def bench() -> Iterator[Bench[LaneCruise]]:
    with Bench(LaneCruise) as bench:
        yield bench


def drive(bench: Bench[LaneCruise], view: RoadView | None, state: VehicleState | None, cycles: int = 1) -> Any:
    for _ in range(cycles):
        if view is not None:
            bench.send("road", view)
        if state is not None:
            bench.send("state", state)
        bench.step()
    return bench.sent("command")[-1]


def test_without_inputs_the_command_is_invalid_and_slows_down(bench: Bench[LaneCruise]) -> None:
    sample = drive(bench, None, None, 50)
    assert not sample.valid
    assert sample.value.steering_rad == 0.0
    assert sample.value.accel_mps2 == pytest.approx(-0.5)


def test_a_straight_free_lane_gives_no_steering_and_full_comfort_acceleration(bench: Bench[LaneCruise]) -> None:
    sample = drive(bench, road(), vehicle(10.0), 60)
    assert sample.valid
    assert sample.value.steering_rad == pytest.approx(0.0, abs=1e-6)
    assert sample.value.accel_mps2 > 1.0


def test_a_lane_to_the_left_is_steered_to_the_left(bench: Bench[LaneCruise]) -> None:
    assert drive(bench, road(centre_m=0.5), vehicle(), 20).value.steering_rad > 0.001


def test_the_command_carries_the_origin_of_the_frame(bench: Bench[LaneCruise]) -> None:
    bench.send("road", road(), origin_ns=123_456)
    assert drive(bench, None, vehicle()).origin_ns == 123_456


def test_a_stale_picture_makes_the_command_invalid(bench: Bench[LaneCruise]) -> None:
    assert drive(bench, road(), vehicle()).valid
    assert not drive(bench, None, vehicle(), 21).valid


def test_a_lane_that_is_not_seen_makes_the_command_invalid(bench: Bench[LaneCruise]) -> None:
    assert not drive(bench, road(lane=0.3), vehicle()).valid


def test_a_near_lead_is_braked_for(bench: Bench[LaneCruise]) -> None:
    assert drive(bench, road(gap_m=12.0), vehicle(20.0), 100).value.accel_mps2 < -2.0


def test_no_command_changes_faster_than_its_limits(bench: Bench[LaneCruise]) -> None:
    drive(bench, road(), vehicle(), 10)
    drive(bench, road(centre_m=3.0, gap_m=5.0), vehicle(), 50)
    commands = [sample.value for sample in bench.sent("command")]
    for before, after in itertools.pairwise(commands):
        assert abs(after.steering_rad - before.steering_rad) <= 0.45 * 0.01 + 1e-9
        assert abs(after.accel_mps2 - before.accel_mps2) <= 8.0 * 0.01 + 1e-9
        assert after.cycle == before.cycle + 1


def test_after_a_refused_command_control_goes_on_from_the_bus(bench: Bench[LaneCruise]) -> None:
    drive(bench, road(centre_m=1.0), vehicle(), 50)
    verdict = BridgeVerdict(
        cycle=3,
        engagement="overriding",
        armed=False,
        accepted=False,
        reason="driver",
        cause="driver-brake",
        steering_rad=-0.01,
        accel_mps2=0.3,
    )
    bench.send("verdict", verdict)
    command = drive(bench, road(centre_m=1.0), vehicle()).value
    assert command.steering_rad == pytest.approx(-0.01, abs=0.0046)
    assert command.accel_mps2 == pytest.approx(0.3, abs=0.081)
