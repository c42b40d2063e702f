from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from cardan.drivers.sim.road import (
    Piece,
    Road,
    beside,
    build_road,
    centre_ahead,
    curvature,
    heading,
    highway_pieces,
    point_at,
    project,
)

ROAD = build_road(highway_pieces(3))
anywhere = some.floats(0.0, 3.0 * ROAD.length_m)


def one(value: float) -> np.ndarray:
    return np.array([value])


def test_a_straight_road_is_straight() -> None:
    road = build_road([Piece(100.0, 0.0, 0.0)])
    assert point_at(road, 250.0) == pytest.approx((250.0, 0.0, 0.0, 0.0))


def test_an_arc_lies_on_its_circle() -> None:
    road = build_road([Piece(300.0, 1 / 400, 1 / 400)])
    for s_m in (0.3, 17.7, 150.0, 299.9):
        point = point_at(road, s_m)
        assert point.x_m == pytest.approx(400.0 * math.sin(s_m / 400.0), abs=1e-6)
        assert point.y_m == pytest.approx(400.0 * (1.0 - math.cos(s_m / 400.0)), abs=1e-6)


def test_the_road_turns_by_nothing_over_a_period() -> None:
    assert heading(ROAD, one(ROAD.length_m - 1e-6))[0] == pytest.approx(0.0, abs=1e-6)


def test_curves_stay_within_a_motorway_radius() -> None:
    bend = np.abs(curvature(ROAD, np.arange(0.0, ROAD.length_m, 1.0)))
    assert 1 / bend.max() >= 300.0
    assert bend.min() == 0.0


@given(anywhere)
@settings(max_examples=50)
def test_position_heading_and_curvature_agree(s_m: float) -> None:
    before, here, after = (point_at(ROAD, s_m + step) for step in (-0.01, 0.0, 0.01))
    assert math.hypot(after.x_m - before.x_m, after.y_m - before.y_m) == pytest.approx(0.02, abs=1e-6)
    direction = math.atan2(after.y_m - before.y_m, after.x_m - before.x_m)
    assert math.remainder(direction - here.heading_rad, 2 * math.pi) == pytest.approx(0.0, abs=1e-4)
    assert (after.heading_rad - before.heading_rad) / 0.02 == pytest.approx(here.curvature, abs=1e-5)


@given(anywhere, some.floats(-10.0, 10.0), some.floats(-30.0, 30.0))
@settings(max_examples=50)
def test_projection_finds_the_place_again(s_m: float, offset_m: float, guess_error_m: float) -> None:
    point = point_at(ROAD, s_m)
    x_m = point.x_m - offset_m * math.sin(point.heading_rad)
    y_m = point.y_m + offset_m * math.cos(point.heading_rad)
    assert project(ROAD, x_m, y_m, s_m + guess_error_m) == pytest.approx((s_m, offset_m), abs=1e-5)


@given(anywhere, some.floats(-1.5, 1.5), some.floats(-0.2, 0.2), some.floats(0.0, 150.0))
@settings(max_examples=50)
def test_the_centre_ahead_is_the_road_seen_from_the_vehicle(
    s_m: float, offset_m: float, error_rad: float, ahead_m: float
) -> None:
    x_m, y_m = in_vehicle_frame(ROAD, s_m, offset_m, error_rad, s_m + 5.0 + ahead_m)
    assert centre_ahead(ROAD, s_m, offset_m, error_rad, one(x_m))[0] == pytest.approx(y_m, abs=0.02)


def in_vehicle_frame(
    road: Road, s_m: float, offset_m: float, error_rad: float, point_s_m: float
) -> tuple[float, float]:
    here, there = point_at(road, s_m), point_at(road, point_s_m)
    dx = there.x_m - (here.x_m - offset_m * math.sin(here.heading_rad))
    dy = there.y_m - (here.y_m + offset_m * math.cos(here.heading_rad))
    cosine, sine = math.cos(here.heading_rad + error_rad), math.sin(here.heading_rad + error_rad)
    return dx * cosine + dy * sine, dy * cosine - dx * sine


def test_a_parallel_line_keeps_its_distance() -> None:
    x_m = np.linspace(0.0, 100.0, 51)
    line = beside(x_m, np.full(51, 2.0), 1.75, np.array([10.0, 50.0]))
    assert line == pytest.approx([3.75, 3.75])


def test_a_parallel_line_of_a_curve_has_its_own_radius() -> None:
    x_m = np.linspace(0.0, 120.0, 241)
    circle = 300.0 - np.sqrt(300.0**2 - x_m**2)
    at_m = np.array([20.0, 60.0, 100.0])
    inner = 300.0 - np.sqrt(298.25**2 - at_m**2)
    assert beside(x_m, circle, 1.75, at_m) == pytest.approx(inner, abs=2e-3)
