import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.reference.lateral import (
    LateralConfig,
    advance_path,
    interpolate,
    lane_centre_m,
    limit_change,
    pursue,
    steering_rate_radps,
)


def arc(radius_m: float) -> tuple[list[float], list[float]]:
    xs = [x / 2 for x in range(2, 120)]
    return xs, [radius_m - math.copysign(math.sqrt(radius_m**2 - x**2), radius_m) for x in xs]


@given(st.sampled_from([-800.0, -300.0, -120.0, 120.0, 300.0, 800.0]), st.floats(5, 30))
def test_on_a_circle_pursuit_steers_the_circle(radius_m: float, speed_mps: float) -> None:
    config = LateralConfig()
    wanted = math.atan(config.wheelbase_m / radius_m)
    assert pursue(config, *arc(radius_m), speed_mps) == pytest.approx(wanted, rel=0.02)


def test_understeer_needs_more_angle_at_speed() -> None:
    neutral, understeering = LateralConfig(), LateralConfig(understeer_s2pm2=0.002)
    assert pursue(understeering, *arc(300.0), 25.0) > pursue(neutral, *arc(300.0), 25.0)


def test_the_centre_lies_between_the_lines() -> None:
    assert lane_centre_m([2.0, 2.5], [-1.0, -1.5]) == [0.5, 0.5]


def test_between_stations_the_path_is_straight_and_outside_it_ends() -> None:
    xs, ys = [10.0, 20.0], [0.0, 1.0]
    assert interpolate(xs, ys, 15.0) == pytest.approx(0.5)
    assert interpolate(xs, ys, 5.0) == 0.0
    assert interpolate(xs, ys, 50.0) == 1.0


def test_a_path_seen_earlier_has_come_nearer() -> None:
    xs, ys = advance_path([10.0, 20.0], [1.0, 1.0], 20.0, 0.0, 0.1)
    assert xs == pytest.approx([8.0, 18.0])
    assert ys == pytest.approx([1.0, 1.0])


def test_turning_left_moves_the_path_to_the_right() -> None:
    _, ys = advance_path([10.0, 20.0], [0.0, 0.0], 0.0, 0.5, 0.1)
    assert ys[1] == pytest.approx(-20.0 * math.sin(0.05))


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 1))
def test_a_change_is_limited_and_goes_the_right_way(previous: float, wanted: float, largest: float) -> None:
    result = limit_change(previous, wanted, largest)
    assert abs(result - previous) <= largest + 1e-12
    assert min(previous, wanted) <= result <= max(previous, wanted)


@given(st.floats(0, 45))
def test_steering_never_causes_more_lateral_jerk_than_allowed(speed_mps: float) -> None:
    config = LateralConfig()
    rate = steering_rate_radps(config, speed_mps)
    assert rate <= config.rate_radps
    assert rate * speed_mps**2 / config.wheelbase_m <= config.lateral_jerk_mps3 + 1e-9
